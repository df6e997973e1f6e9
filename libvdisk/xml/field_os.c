/* SPDX-License-Identifier: MIT */
/* See field_os.h. */
#include "xml/field_os.h"

#include <stdio.h>
#include <string.h>

static void unquote(const char *value, size_t len, char *to, size_t size)
{
	char quote = 0;
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < size; i++) {
		if (!quote && (value[i] == '"' || value[i] == '\''))
			quote = value[i];
		else if (quote && value[i] == quote)
			quote = 0;
		else if (value[i] == '\\' && quote != '\'' && i + 1 < len)
			to[n++] = value[++i];
		else
			to[n++] = value[i];
	}
	to[n] = '\0';
}

bool vd_os_release_value(const char *text, const char *key, char *to, size_t size)
{
	size_t key_len = strlen(key);

	to[0] = '\0';
	for (const char *line = text; *line; line += strspn(line, "\n")) {
		size_t len = strcspn(line, "\n");

		if (len > key_len && strncmp(line, key, key_len) == 0 && line[key_len] == '=') {
			unquote(line + key_len + 1, len - key_len - 1, to, size);
			return true;
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

/* Digits of a version's part, as many as are worth keeping. */
static int n_digits(size_t n)
{
	return n < 16 ? (int)n : 16;
}

void vd_os_release_id(const char *distro, const char *version, const char *name, char *to,
		      size_t size)
{
	size_t major = strspn(version, "0123456789");
	size_t minor = version[major] == '.' ? strspn(version + major + 1, "0123456789") : 0;
	const char *minor_at = version + major + 1;

	for (size_t i = 0; i < sizeof(osinfo) / sizeof(osinfo[0]); i++) {
		const char *prefix = osinfo[i].prefix;

		if (strcmp(osinfo[i].distro, distro) != 0)
			continue;
		if (strcmp(distro, "centos") == 0 && strstr(name, "Stream"))
			prefix = "centos-stream";
		if (osinfo[i].n_numbers == 0)
			snprintf(to, size, "%s", prefix);
		else if (osinfo[i].n_numbers == 1 || !minor)
			snprintf(to, size, "%s%.*s", prefix, n_digits(major), version);
		else
			snprintf(to, size, "%s%.*s%s%.*s", prefix, n_digits(major), version,
				 osinfo[i].between, n_digits(minor), minor_at);
		return;
	}
	snprintf(to, size, "%.40s%.20s", distro, version);
}
