/* SPDX-License-Identifier: MIT */
/* The form of a value that look-ups compare: NFKC with case folded (Unicode's toNFKC_Casefold,
 * ignorable characters kept), stable across versions of Unicode. */
#include <string.h>

#include <utf8proc.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "xml/doc.h"

/* One character can become 18; more than this isn't looked up as a whole. */
#define KEY_MAX (256u << 10)

/* Composition after folding can bring about what folds again: once more, until nothing changes. */
#define MAX_ROUNDS 4

#define OPTIONS                                                                                    \
	(utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE |                 \
			    UTF8PROC_CASEFOLD)

static int fold(const char *value, size_t len, char **folded, struct vd_error *err)
{
	VD_AUTO_FREE utf8proc_int32_t *buf = NULL;
	utf8proc_ssize_t n, room;

	room = utf8proc_decompose((const utf8proc_uint8_t *)value, (utf8proc_ssize_t)len, NULL, 0,
				  OPTIONS);
	if (room < 0)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "the value isn't UTF-8");
	/* What comes back is UTF-8 in the same place, with a NUL. */
	buf = vd_malloc(((size_t)room + 1) * sizeof(*buf));
	if (!buf)
		return vd_no_memory(err, ((size_t)room + 1) * sizeof(*buf), "a key");
	n = utf8proc_decompose((const utf8proc_uint8_t *)value, (utf8proc_ssize_t)len, buf, room,
			       OPTIONS);
	if (n >= 0)
		n = utf8proc_reencode(buf, n, OPTIONS);
	if (n < 0)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "the value isn't UTF-8");
	*folded = (char *)VD_TAKE(buf);
	return 0;
}

int vd_field_key(const char *value, char **key, struct vd_error *err)
{
	size_t len = strlen(value), i;
	bool is_same = false;
	int ret;

	if (len > KEY_MAX)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "a value of %zu bytes; keys are made of at most %u", len,
				    KEY_MAX);
	*key = vd_malloc(len + 1);
	if (!*key)
		return vd_no_memory(err, len + 1, "a key");
	for (i = 0; i < len && (unsigned char)value[i] < 0x80; i++)
		(*key)[i] = (char)(value[i] >= 'A' && value[i] <= 'Z' ? value[i] | 0x20 : value[i]);
	if (i == len) {
		(*key)[len] = '\0';
		return 0;
	}
	memcpy(*key, value, len + 1);
	for (int round = 0; !is_same && round < MAX_ROUNDS; round++) {
		char *folded = NULL;

		ret = fold(*key, strlen(*key), &folded, err);
		if (ret) {
			vd_free(VD_TAKE(*key));
			return ret;
		}
		is_same = strcmp(folded, *key) == 0;
		vd_free(*key);
		*key = folded;
	}
	return 0;
}
