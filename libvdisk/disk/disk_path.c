/* SPDX-License-Identifier: MIT */
/* Paths of parents. They come out of images, so they are taken by the letter; files are opened by
 * io_place.c, beneath a folder that the caller allows. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "disk/disk.h"

bool vd_path_from_hint(const char *hint, char *path, size_t size)
{
	size_t n = 0;

	/* "d:\folder", "\\server\share", "\\?\d:\folder" and "\\?\Volume{...}" are places of
	 * Windows.
	 * "\\?\folder" is how a VHDX made on such a host as this one writes "/folder". */
	if (strncmp(hint, "\\\\?\\", 4) == 0 && hint[4] && hint[5] != ':' &&
	    strncasecmp(hint + 4, "Volume{", 7) != 0 && strncasecmp(hint + 4, "UNC\\", 4) != 0)
		hint += 3;
	if ((hint[0] == '\\' && hint[1] == '\\') || (hint[0] && hint[1] == ':'))
		return false;
	for (; *hint; hint++) {
		if (n + 1 >= size)
			return false;
		path[n++] = *hint == '\\' ? '/' : *hint;
	}
	if (!n)
		return false;
	path[n] = '\0';
	return true;
}

/* Add one part to the clean absolute path of length *n. */
static bool add_part(char *path, size_t size, size_t *n, const char *part, size_t len)
{
	if (len == 0 || (len == 1 && part[0] == '.'))
		return true;
	if (len == 2 && part[0] == '.' && part[1] == '.') {
		while (*n && path[--*n] != '/')
			;
		return true;
	}
	if (*n + 1 + len + 1 > size)
		return false;
	path[(*n)++] = '/';
	memcpy(path + *n, part, len);
	*n += len;
	return true;
}

bool vd_path_join(const char *folder, const char *path, char *joined, size_t size)
{
	const char *sources[2] = {path[0] == '/' ? "" : folder, path};
	size_t n = 0;

	if (size < 2)
		return false;
	for (int i = 0; i < 2; i++) {
		const char *p = sources[i];

		while (*p) {
			size_t len = strcspn(p, "/");

			if (!add_part(joined, size, &n, p, len))
				return false;
			p += len;
			p += *p == '/';
		}
	}
	if (!n)
		joined[n++] = '/';
	joined[n] = '\0';
	return true;
}

const char *vd_path_below(const char *root, const char *path)
{
	size_t n = strlen(root);

	if (n == 1)
		return path[1] ? path + 1 : NULL;
	return !strncmp(root, path, n) && path[n] == '/' ? path + n + 1 : NULL;
}

bool vd_path_relative(const char *from, const char *to, char *relative, size_t size)
{
	size_t common = 0, n = 0;
	int len;

	/* The last '/' that both have, with equal parts before it. */
	for (size_t i = 0;; i++) {
		bool ends_from = !from[i] || from[i] == '/', ends_to = !to[i] || to[i] == '/';

		if (ends_from && ends_to)
			common = i;
		if (!from[i] || !to[i] || from[i] != to[i])
			break;
	}
	for (const char *p = from + common; *p; p++) {
		if (*p != '/' || !p[1])
			continue;
		if (n + 4 > size)
			return false;
		memcpy(relative + n, "../", 3);
		n += 3;
	}
	to += common;
	to += *to == '/';
	len = snprintf(relative + n, size - n, "%s", to);
	return len >= 0 && (size_t)len < size - n;
}

int vd_path_folder(char **folder, const char *path, struct vd_error *err)
{
	char real[PATH_MAX], above[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int n = slash ? snprintf(above, sizeof(above), "%.*s", (int)(slash - path + 1), path)
		      : snprintf(above, sizeof(above), ".");
	int why;

	if (n < 0 || (size_t)n >= sizeof(above))
		return vd_error_set(err, VD_EINVAL, ENAMETOOLONG, VD_NO_OFFSET,
				    "the path is longer than %d bytes", PATH_MAX);
	why = -vd_place_real(above, real);
	if (why)
		return vd_error_set(err, vd_code_from_errno(why), why, VD_NO_OFFSET,
				    "can't find the folder %s: %s", above, strerror(why));
	*folder = vd_strdup(real);
	return *folder ? 0 : vd_no_memory(err, strlen(real) + 1, "a path");
}
