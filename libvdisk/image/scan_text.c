// SPDX-License-Identifier: MIT
/* Texts of a guest, on their way into documents: cleaned, cut into lines, put into package URLs. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "guest/guest_bytes.h"
#include "image/scan.h"

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

/* What a shell would make of a value: quotes go, a backslash keeps the next character. */
static void unquote(const char *value, size_t len, char *to, size_t size)
{
	char plain[VD_SCAN_LINE_MAX];
	char quote = 0;
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < sizeof(plain); i++) {
		if (!quote && (value[i] == '"' || value[i] == '\''))
			quote = value[i];
		else if (quote && value[i] == quote)
			quote = 0;
		else if (value[i] == '\\' && quote != '\'' && i + 1 < len)
			plain[n++] = value[++i];
		else
			plain[n++] = value[i];
	}
	vd_scan_clean(to, size, plain, n);
}

bool vd_scan_shell_value(const char *text, const char *key, char *to, size_t size)
{
	size_t key_len = strlen(key);

	to[0] = '\0';
	for (const char *line = text; *line; line += strspn(line, "\n")) {
		size_t len = strcspn(line, "\n");

		if (len > key_len && strncmp(line, key, key_len) == 0 && line[key_len] == '=') {
			unquote(line + key_len + 1, len - key_len - 1, to, size);
			return to[0] != '\0';
		}
		line += len;
	}
	return false;
}

/* How libosinfo names what os-release calls by ID: a prefix, and how much of the version. */
static const struct {
	const char *distro, *prefix;
	int n_numbers; /* of the version: 1 "12", 2 "22.04"; 0: none */
	const char *between;
} osinfo[] = {
    {"debian", "debian", 1, ""},
    {"ubuntu", "ubuntu", 2, "."},
    {"fedora", "fedora", 1, ""},
    {"alpine", "alpinelinux", 2, "."},
    {"rhel", "rhel", 2, "."},
    {"centos", "centos", 2, "."},
    {"rocky", "rocky", 1, ""},
    {"almalinux", "almalinux", 1, ""},
    {"ol", "ol", 2, "."},
    {"opensuse-leap", "opensuse", 2, "."},
    {"sles", "sles", 2, "sp"},
    {"sled", "sled", 2, "sp"},
    {"arch", "archlinux", 0, ""},
    {"gentoo", "gentoo", 0, ""},
    {"opensuse-tumbleweed", "opensusetumbleweed", 0, ""},
};

void vd_scan_osinfo_id(const char *distro, const char *version, const char *name, char *to,
		       size_t size)
{
	size_t major = strspn(version, "0123456789");
	size_t minor = version[major] == '.' ? strspn(version + major + 1, "0123456789") : 0;
	const char *minor_at = version + major + 1;
	int n = -1;

	for (size_t i = 0; i < sizeof(osinfo) / sizeof(osinfo[0]) && n < 0; i++) {
		const char *prefix = osinfo[i].prefix;

		if (strcmp(osinfo[i].distro, distro) != 0)
			continue;
		if (strcmp(distro, "centos") == 0 && strstr(name, "Stream"))
			prefix = "centos-stream";
		if (osinfo[i].n_numbers == 0)
			n = snprintf(to, size, "%s", prefix);
		else if (osinfo[i].n_numbers == 1 || !minor)
			n = snprintf(to, size, "%s%.*s", prefix, (int)vd_min64(major, 16), version);
		else
			n = snprintf(to, size, "%s%.*s%s%.*s", prefix, (int)vd_min64(major, 16),
				     version, osinfo[i].between, (int)vd_min64(minor, 16),
				     minor_at);
	}
	if (n < 0)
		snprintf(to, size, "%.40s%.20s", distro, version);
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
