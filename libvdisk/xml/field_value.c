/* SPDX-License-Identifier: MIT */
/* Values of fields: what may be typed, and the one form that is stored and compared. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <utf8proc.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/guid.h"
#include "xml/doc.h"
#include "xml/field_value.h"

#define VALUE_MAX (64u << 10) /* of what is typed; schemas allow less */

/** A readable UTF-8 text of characters that XML can hold? */
static const char *check_text(const char *text)
{
	const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text;
	utf8proc_int32_t c;

	while (*p) {
		utf8proc_ssize_t n = utf8proc_iterate(p, -1, &c);

		if (n < 1)
			return "not UTF-8";
		if ((c < ' ' && c != '\t' && c != '\n' && c != '\r') || c == 0xfffe || c == 0xffff)
			return "a control character, which XML can't hold";
		p += n;
	}
	return NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/** As XML Schema collapses white space. */
static void collapse(char *text)
{
	char *to = text;

	for (const char *p = text; *p; p++) {
		if (!is_blank(*p))
			*to++ = *p;
		else if (to > text && to[-1] != ' ')
			*to++ = ' ';
	}
	if (to > text && to[-1] == ' ')
		to--;
	*to = '\0';
}

static const char *read_digits(const char *text, uint64_t max, uint64_t *number)
{
	const char *p = text;

	for (*number = 0; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(*number, 10, number) ||
		    __builtin_add_overflow(*number, (uint64_t)(*p - '0'), number))
			return "too big";
	}
	if (p == text || *p)
		return "not a number";
	return *number > max ? "too big" : NULL;
}

/** The factor of "K", "KiB", "KB" ...; 0: unknown. */
static uint64_t unit_of(const char *unit)
{
	static const char prefixes[] = "KMGTPE";
	uint64_t step = 1024, factor = 1;
	const char *prefix;

	if (!*unit || strcmp(unit, "B") == 0)
		return 1;
	prefix = strchr(prefixes, toupper((unsigned char)*unit));
	if (!prefix)
		return 0;
	if (strcasecmp(unit + 1, "B") == 0)
		step = 1000;
	else if (unit[1] && strcasecmp(unit + 1, "iB") != 0)
		return 0;
	for (const char *p = prefixes; p <= prefix; p++)
		factor *= step;
	return factor;
}

/** "4G", "1.5 GiB", "4GB", "4096". */
static const char *read_size(const char *text, uint64_t *size)
{
	unsigned __int128 whole = 0, part = 0, scale = 1, sum;
	const char *p = text;
	uint64_t factor;

	for (; *p >= '0' && *p <= '9'; p++) {
		whole = whole * 10 + (unsigned)(*p - '0');
		if (whole > INT64_MAX)
			return "too big";
	}
	if (p == text)
		return "not a size (say 4G, 512M or a number of bytes)";
	if (*p == '.') {
		for (p++; *p >= '0' && *p <= '9' && scale < 1000000000; p++) {
			part = part * 10 + (unsigned)(*p - '0');
			scale *= 10;
		}
		if (scale == 1)
			return "not a size (no digits behind the point)";
	}
	if (*p == ' ')
		p++;
	factor = unit_of(p);
	if (!factor)
		return "not a size (say 4G, 512M or a number of bytes)";
	if (part * factor % scale)
		return "not a whole number of bytes";
	sum = whole * factor + part * factor / scale;
	if (sum > INT64_MAX)
		return "too big";
	*size = (uint64_t)sum;
	return NULL;
}

static const char *read_word(char *text, const char *choices, bool is_typed, size_t *len)
{
	*len = strlen(text);
	for (const char *c = choices; *c; c += *c == '|') {
		size_t n = strcspn(c, "|");

		if (n == *len && (is_typed ? strncasecmp(c, text, n) : strncmp(c, text, n)) == 0) {
			memcpy(text, c, n);
			return NULL;
		}
		c += n;
	}
	return "none of the words that it can be";
}

static const char *read_bool(char *text, bool is_typed, const char **normal)
{
	static const char *const yes[] = {"true", "yes", "on", "1"};
	static const char *const no[] = {"false", "no", "off", "0"};

	for (size_t i = 0; i < (is_typed ? sizeof(yes) / sizeof(*yes) : 1); i++) {
		if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
			*normal = strcasecmp(text, yes[i]) == 0 ? "true" : "false";
			return is_typed || strcmp(text, *normal) == 0 ? NULL : "not true or false";
		}
	}
	return "not true or false";
}

static const char *read_version(const char *text)
{
	const char *more = ".+~:_^-";

	for (const char *p = text; *p; p++) {
		if (!(isascii(*p) && isalnum((unsigned char)*p)) &&
		    (p == text || !strchr(more, *p)))
			return "not a version (letters, digits and . + ~ : _ ^ - only)";
	}
	return NULL;
}

/** pkg:type/namespace/name@version?qualifiers#subpath; the type in lower case. */
static const char *read_purl(char *text, bool is_typed)
{
	static const char wrong[] = "not a package URL (say pkg:deb/debian/openssl@3.0.11-1)";
	char *type = text + 4, *p, *rest;

	if (strncasecmp(text, "pkg:", 4) != 0)
		return wrong;
	memcpy(text, "pkg:", 4);
	rest = type + (is_typed ? strspn(type, "/") : 0);
	memmove(type, rest, strlen(rest) + 1);
	for (p = type; *p && *p != '/'; p++) {
		if (is_typed)
			*p = (char)tolower((unsigned char)*p);
		if (!(*p >= 'a' && *p <= 'z') && (p == type || !*p || !strchr("0123456789.+-", *p)))
			return wrong;
	}
	if (p == type || !*p)
		return wrong;
	rest = p + 1 + (is_typed ? strspn(p + 1, "/") : 0);
	memmove(p + 1, rest, strlen(rest) + 1);
	if (!p[1] || p[1] == '/' || p[1] == '?' || p[1] == '#')
		return wrong;
	for (p++; *p; p++) {
		if (*p <= ' ' || *p > '~')
			return "not a package URL (blanks and foreign letters are written %XX)";
		if (*p == '%' && !(isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2])))
			return "not a package URL (% stands before two hexadecimal digits)";
	}
	return NULL;
}

static const char *read_uuid(const char *text, bool is_typed, char small[64])
{
	struct vd_guid guid;

	if ((!is_typed && *text == '{') || !vd_guid_parse(text, &guid))
		return "not a UUID";
	vd_guid_format(guid, small);
	return NULL;
}

/** Numbers and times: read, then written anew into value->small. */
static const char *read_number(struct vd_value *value, const struct vd_field *field,
			       bool is_duration, bool is_typed, int64_t now)
{
	const char *wrong;
	uint64_t number;
	int64_t time;

	if (field->type == VD_FIELD_TIME) {
		wrong = vd_time_parse(value->text, is_typed, now, &time);
		if (!wrong)
			vd_time_format(time, value->small);
		return wrong;
	}
	if (is_duration)
		wrong = vd_duration_parse(value->text, is_typed, &number);
	else if (field->type == VD_FIELD_SIZE && is_typed)
		wrong = read_size(value->text, &number);
	else
		wrong = read_digits(value->text,
				    field->type == VD_FIELD_SIZE ? INT64_MAX : UINT64_MAX, &number);
	if (!wrong)
		snprintf(value->small, sizeof(value->small), "%" PRIu64, number);
	return wrong;
}

static const char *read_typed(struct vd_value *value, const struct vd_field *field,
			      const struct schema_field *own, bool is_typed, int64_t now)
{
	size_t len;

	value->normal = value->text;
	if (!own || !own->is_multiline)
		collapse(value->text);
	if (!*value->text)
		return "empty";
	switch (field->type) {
	case VD_FIELD_TEXT:
		return NULL;
	case VD_FIELD_WORD:
		return read_word(value->text, field->choices ? field->choices : "", is_typed, &len);
	case VD_FIELD_BOOL:
		return read_bool(value->text, is_typed, &value->normal);
	case VD_FIELD_VERSION:
		return read_version(value->text);
	case VD_FIELD_PURL:
		return read_purl(value->text, is_typed);
	case VD_FIELD_UUID:
		value->normal = value->small;
		return read_uuid(value->text, is_typed, value->small);
	case VD_FIELD_NUMBER:
	case VD_FIELD_SIZE:
	case VD_FIELD_TIME:
		value->normal = value->small;
		return read_number(value, field, own && own->is_duration, is_typed, now);
	}
	return "of a type that isn't known";
}

int vd_value_read(struct vd_value *value, const struct vd_field *field, const char *raw,
		  bool is_typed, int64_t now, struct vd_error *err)
{
	size_t size = strlen(raw) + 1;
	const char *wrong = NULL;

	if (is_typed && size > VALUE_MAX)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "%s: a value of %zu bytes; at most %u are allowed", field->name,
				    size - 1, VALUE_MAX);
	if (size > value->size) {
		char *more = vd_realloc(value->text, size + 64);

		if (!more)
			return vd_no_memory(err, size + 64, "a value");
		value->text = more;
		value->size = size + 64;
	}
	memcpy(value->text, raw, size);
	if (is_typed)
		wrong = check_text(value->text);
	if (!wrong)
		wrong = read_typed(value, field, vd_schema_field_of(field), is_typed, now);
	if (!wrong)
		return 0;
	return vd_error_set(err, is_typed ? VD_EINVAL : VD_ECORRUPT, 0, VD_NO_OFFSET,
			    "%s: \"%.100s\" is %s%s%s%s", field->name, raw, wrong,
			    field->choices ? " (" : "", field->choices ? field->choices : "",
			    field->choices ? ")" : "");
}

void vd_value_free(struct vd_value *value)
{
	vd_free(value->text);
	value->text = NULL;
	value->size = 0;
}

int vd_field_normalize(const struct vd_field *field, const char *value, int64_t now, char **normal,
		       struct vd_error *err)
{
	struct vd_value work = {0};
	int ret = vd_value_read(&work, field, value, true, now, err);

	if (!ret) {
		*normal = vd_strdup(work.normal);
		if (!*normal)
			ret = vd_no_memory(err, strlen(work.normal) + 1, "a value");
	}
	vd_value_free(&work);
	return ret;
}
