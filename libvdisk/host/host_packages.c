/* SPDX-License-Identifier: MIT */
/* Versions of installed packages, out of the databases that are plain text: dpkg's and apk's. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "host/host_facts.h"

#define DATABASE_MAX (64u << 20)

/* "1:7.2+dfsg-7+deb12u7" -> "7.2": what upstream calls it, which rules are about. */
static bool upstream(const char *version, size_t len, char *to, size_t size)
{
	const char *colon = memchr(version, ':', len);
	size_t n;

	if (colon) {
		len -= (size_t)(colon + 1 - version);
		version = colon + 1;
	}
	for (n = 0; n < len && !strchr("+-", version[n]); n++)
		;
	if (!n || n >= size)
		return false;
	memcpy(to, version, n);
	to[n] = '\0';
	return true;
}

/* One database: how its lines begin. */
struct database {
	const char *path, *name, *version;
	const char *state; /* NULL: what is there is installed */
	const char *installed;
};

/* The entry of a package, up to an empty line: is it one, and which version? */
static bool read_entry(const struct database *db, const char *entry, size_t len, const char *prefix,
		       char *to, size_t size)
{
	bool is_it = false, is_installed = !db->state, has_version = false;

	for (const char *line = entry; line < entry + len;) {
		size_t n = strcspn(line, "\n");

		if (strncmp(line, db->name, strlen(db->name)) == 0)
			is_it = strncmp(line + strlen(db->name), prefix, strlen(prefix)) == 0;
		else if (strncmp(line, db->version, strlen(db->version)) == 0)
			has_version =
			    upstream(line + strlen(db->version), n - strlen(db->version), to, size);
		else if (db->state && strncmp(line, db->state, strlen(db->state)) == 0)
			is_installed = n >= strlen(db->installed) &&
				       strncmp(line + n - strlen(db->installed), db->installed,
					       strlen(db->installed)) == 0;
		line += n + (line[n] == '\n');
	}
	return is_it && is_installed && has_version;
}

bool host_package_version(struct host_collect *c, const char *prefix, char *version, size_t size)
{
	static const struct database databases[] = {
	    {"var/lib/dpkg/status", "Package: ", "Version: ", "Status: ", " installed"},
	    {"lib/apk/db/installed", "P:", "V:", NULL, NULL},
	};

	for (size_t i = 0; i < sizeof(databases) / sizeof(databases[0]); i++) {
		char *text VD_AUTO_FREE = host_slurp(c, databases[i].path, DATABASE_MAX);

		for (const char *entry = text; entry && *entry;) {
			const char *end = strstr(entry, "\n\n");
			size_t len = end ? (size_t)(end + 1 - entry) : strlen(entry);

			if (read_entry(&databases[i], entry, len, prefix, version, size))
				return true;
			entry += len;
			entry += strspn(entry, "\n");
		}
	}
	version[0] = '\0';
	return false;
}
