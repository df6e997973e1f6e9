/* SPDX-License-Identifier: MIT */
/*
 * Package URLs: which package one names, and its version.
 *
 *	pkg:type/namespace/name@version?qualifiers#subpath
 *
 * The qualifiers begin at the first "?" or "#", the version at the last "@" behind the last "/"
 * before them, unless the name would be empty.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "query/query_tree.h"
#include "xml/doc.h"

/** The ends of its parts; the namespace lies between type and name, if both don't touch. */
struct parts {
	const char *type, *type_end;
	const char *name, *name_end;
	const char *version; /* NULL: none */
	const char *end;     /* of what comes before the qualifiers */
};

static bool take_apart(const char *purl, struct parts *out)
{
	const char *p;

	if (strncmp(purl, "pkg:", 4) != 0)
		return false;
	out->type = purl + 4;
	out->end = out->type + strcspn(out->type, "?#");
	out->type_end = memchr(out->type, '/', (size_t)(out->end - out->type));
	if (!out->type_end)
		return false;
	for (p = out->end; p[-1] != '/';)
		p--;
	out->name = p;
	out->name_end = out->end;
	out->version = NULL;
	for (p = out->end; p > out->name + 1; p--) {
		if (p[-1] == '@') {
			out->name_end = p - 1;
			out->version = p;
			break;
		}
	}
	return true;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/** Percent-decode in place; the new end. */
static char *decode(char *p, char *end)
{
	char *to = p;

	while (p < end) {
		if (*p == '%' && end - p > 2 && hex(p[1]) >= 0 && hex(p[2]) >= 0) {
			*to++ = (char)(hex(p[1]) << 4 | hex(p[2]));
			p += 3;
		} else {
			*to++ = *p++;
		}
	}
	return to;
}

struct text {
	const char *p;
	size_t len;
};

static bool is_fit(struct text text, const struct operand *operand, const struct query_glob *glob)
{
	if (glob)
		return query_glob_match(glob, text.p, text.len);
	return strlen(operand->key) == text.len && memcmp(operand->key, text.p, text.len) == 0;
}

/** Some of a key, up to `end`. */
static bool is_part(const char *from, const char *end, const struct operand *operand,
		    const struct query_glob *glob)
{
	return is_fit((struct text){from, (size_t)(end - from)}, operand, glob);
}

/** One of the names is written with percents: decode it, and make its key. */
static int is_decoded(const char *from, const char *end, const struct operand *operand,
		      const struct query_glob *glob, struct vd_error *err)
{
	VD_AUTO_FREE char *plain = vd_malloc((size_t)(end - from) + 1), *key = NULL;
	char *plain_end;
	int ret;

	if (!plain)
		return vd_no_memory(err, (size_t)(end - from) + 1, "a name");
	memcpy(plain, from, (size_t)(end - from));
	plain_end = decode(plain, plain + (end - from));
	*plain_end = '\0';
	/* What isn't text, or holds a NUL, is nobody's name. */
	if (strlen(plain) != (size_t)(plain_end - plain))
		return 0;
	ret = vd_field_key(plain, &key, NULL);
	if (ret)
		return ret == VD_ENOMEM ? vd_no_memory(err, strlen(plain), "a name") : 0;
	return is_part(key, key + strlen(key), operand, glob);
}

/** name, namespace/name, type/namespace/name */
static int fits_name(const struct parts *parts, const struct operand *operand,
		     const struct query_glob *glob, struct vd_error *err)
{
	const char *from[] = {parts->name, parts->type_end + 1, parts->type};
	size_t len = (size_t)(parts->name_end - parts->type);
	bool is_plain = !memchr(parts->type, '%', len);
	int ret = 0;

	for (int i = 0; i < 3 && !ret; i++) {
		if (is_plain)
			ret = is_part(from[i], parts->name_end, operand, glob);
		else
			ret = is_decoded(from[i], parts->name_end, operand, glob, err);
	}
	return ret;
}

int query_purl_fits(const struct operand *operand, const struct query_glob *glob,
		    const struct vd_fact *fact, struct vd_error *err)
{
	struct parts parts;

	if (!take_apart(fact->key, &parts))
		return 0;
	if (!operand->is_whole)
		return fits_name(&parts, operand, glob, err);
	if (is_part(fact->key, fact->key + strlen(fact->key), operand, glob))
		return 1;
	if (glob)
		return 0;
	return is_part(fact->key, parts.end, operand, NULL) ||
	       is_part(fact->key, parts.name_end, operand, NULL);
}

int query_purl_compare(const char *purl, const char *version, int *order, struct vd_error *err)
{
	VD_AUTO_FREE char *own = NULL;
	char type[16] = "", small[128], *plain = small;
	struct parts parts;
	size_t len;

	if (!take_apart(purl, &parts) || !parts.version || parts.version == parts.end)
		return 0;
	if ((size_t)(parts.type_end - parts.type) < sizeof(type))
		memcpy(type, parts.type, (size_t)(parts.type_end - parts.type));
	len = (size_t)(parts.end - parts.version);
	if (len > sizeof(small)) {
		plain = own = vd_malloc(len);
		if (!own)
			return vd_no_memory(err, len, "a version");
	}
	memcpy(plain, parts.version, len);
	*order = query_version_order(vd_version_scheme_of(type),
				     (struct version_text){plain, decode(plain, plain + len)},
				     (struct version_text){version, version + strlen(version)});
	return 1;
}
