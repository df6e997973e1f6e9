// SPDX-License-Identifier: MIT
/* Texts of a guest, on their way into documents: cleaned, cut into lines, put into package URLs. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "guest/guest_bytes.h"
#include "image/scan.h"
#include "xml/field_os.h"

/* ---- forms ---- */

void vd_scan_clean(char *to, size_t size, const char *text, size_t len)
{
	size_t n = 0;

	to[0] = '\0';
	for (size_t i = 0; i < len && text[i] && n + 1 < size;) {
		size_t word;

		while (i < len && text[i] && isspace((unsigned char)text[i]))
			i++;
		for (word = i; word < len && text[word] && !isspace((unsigned char)text[word]);)
			word++;
		if (word == i)
			break;
		if (n)
			to[n++] = ' ';
		vd_guest_text(to + n, size - n, (const uint8_t *)text + i, word - i);
		n += strlen(to + n);
		i = word;
	}
	while (n && to[n - 1] == ' ')
		n--;
	to[n] = '\0';
}

static bool has_form(const char *text, const char *first, const char *rest)
{
	size_t len = strlen(text);

	return len && len <= 256 && (isalnum((unsigned char)text[0]) || strchr(first, text[0])) &&
	       strspn(text, rest) == len;
}

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

bool vd_scan_is_name(const char *text)
{
	return has_form(text, "_", ALNUM "_.,:+/@-");
}

bool vd_scan_is_version(const char *text)
{
	return has_form(text, "", ALNUM ".+~:_^-");
}

/* ---- os-release ---- */

bool vd_scan_shell_value(const char *text, const char *key, char *to, size_t size)
{
	char plain[VD_SCAN_LINE_MAX];

	to[0] = '\0';
	if (vd_os_release_value(text, key, plain, sizeof(plain)))
		vd_scan_clean(to, size, plain, strlen(plain));
	return to[0] != '\0';
}

void vd_scan_osinfo_id(const char *distro, const char *version, const char *name, char *to,
		       size_t size)
{
	vd_os_release_id(distro, version, name, to, size);
	if (!vd_scan_is_name(to))
		to[0] = '\0';
}

/* ---- package URLs ---- */

/* Percent-encoding as the purl specification has it: all but unreserved characters and ":". */
static bool put_encoded(char *to, size_t size, size_t *n, const char *text, bool is_lower)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*n + 4 > size)
			return false;
		if (isalnum(*p) || (*p < 0x80 && strchr("-._~:", *p)))
			to[(*n)++] = (char)(is_lower ? tolower(*p) : *p);
		else
			*n += (size_t)snprintf(to + *n, 4, "%%%02X", *p);
	}
	return true;
}

bool vd_scan_purl(char *to, size_t size, const char *type, const char *space, const char *name,
		  const char *version, const char *arch)
{
	size_t n = (size_t)snprintf(to, size, "pkg:%s/", type);
	bool fits = n < size;

	/* deb and apk: namespace and name are lower-case. */
	if (fits && space[0]) {
		fits = put_encoded(to, size, &n, space, true) && n + 1 < size;
		if (fits)
			to[n++] = '/';
	}
	fits = fits && name[0] && put_encoded(to, size, &n, name, true);
	if (fits && version[0]) {
		fits = n + 1 < size;
		if (fits)
			to[n++] = '@';
		fits = fits && put_encoded(to, size, &n, version, false);
	}
	if (fits && arch[0]) {
		fits = n + 6 < size;
		if (fits)
			n += (size_t)snprintf(to + n, size - n, "?arch=");
		fits = fits && put_encoded(to, size, &n, arch, false);
	}
	fits = fits && n < size;
	to[fits ? n : 0] = '\0';
	return fits;
}

int vd_scan_keep_purl(struct vd_scan *scan, const char *purl, struct vd_error *err)
{
	struct vd_scan_purls *purls = &scan->purls;
	size_t len = strlen(purl) + 1, size = purls->size ? purls->size : 16384;

	if (purls->len + len + (purls->n + 1) * VD_SCAN_PURL_XML > VD_SCAN_PURLS_MAX) {
		purls->n_left_out++;
		return 0;
	}
	while (size < purls->len + len)
		size *= 2;
	if (size > purls->size) {
		char *larger = vd_realloc(purls->text, size);

		if (!larger)
			return vd_no_memory(err, size, "the packages of a guest");
		purls->text = larger;
		purls->size = size;
	}
	memcpy(purls->text + purls->len, purl, len);
	purls->len += len;
	purls->n++;
	return 0;
}

/* ---- lines ---- */

int vd_scan_lines_open(struct vd_scan_lines **out, struct vd_guest_fs *fs, const char *path,
		       uint64_t max, bool *is_cut, struct vd_error *err)
{
	struct vd_scan_lines *lines;
	struct vd_file_info info;
	int rc = vd_guest_fs_stat(fs, path, &info, err);

	*out = NULL;
	if (rc)
		return rc;
	if (info.type != VD_FILE_REGULAR)
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "%s: not a regular file",
				    path);
	lines = vd_calloc(1, sizeof(*lines));
	if (!lines)
		return vd_no_memory(err, sizeof(*lines), "lines of a file");
	lines->fs = fs;
	lines->path = path;
	lines->end = vd_min64(info.size, max);
	*is_cut = info.size > max;
	*out = lines;
	return 0;
}

int vd_scan_next_line(struct vd_scan_lines *lines, char **line, struct vd_error *err)
{
	size_t n = 0;
	bool has_any = false;

	*line = lines->line;
	for (;;) {
		char c;

		if (lines->at == lines->have) {
			size_t want =
			    (size_t)vd_min64(sizeof(lines->piece), lines->end - lines->offset);
			int rc = 0;

			lines->at = lines->have = 0;
			if (want)
				rc = vd_guest_fs_read(lines->fs, lines->path, lines->piece, want,
						      lines->offset, &lines->have, err);
			if (rc)
				return rc;
			lines->offset += lines->have;
			if (!lines->have) {
				lines->end = lines->offset;
				break;
			}
		}
		c = lines->piece[lines->at++];
		has_any = true;
		if (c == '\n')
			break;
		if (n + 1 < sizeof(lines->line))
			lines->line[n++] = c;
	}
	lines->line[n] = '\0';
	return has_any ? 1 : 0;
}
