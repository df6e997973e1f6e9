/* SPDX-License-Identifier: MIT */
/* What is the same for every store of a catalog; see catalog.h. */
#include <ctype.h>
#include <string.h>

#include "catalog.h"

/** "postgresql:" of a name that looks like a URL; 0: it is a path. */
static size_t scheme_len(const char *name)
{
	size_t n = 0;

	while (isalnum((unsigned char)name[n]) || (n && strchr("+-.", name[n]) && name[n]))
		n++;
	return n && strncmp(name + n, "://", 3) == 0 ? n : 0;
}

int catalog_open(struct catalog_store **out, const char *name, enum catalog_mode mode,
		 struct vd_error *err)
{
	size_t scheme = scheme_len(name);

	*out = NULL;
	if (scheme)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "catalogs in %.*s: aren't built in; name a file, which will "
				    "be a database of SQLite",
				    (int)scheme, name);
	if (!*name)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "the catalog has no name");
	return catalog_sqlite_open(out, name, mode, err);
}

void catalog_close(struct catalog_store *store)
{
	if (store)
		store->ops->close(store);
}

bool catalog_is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	while (n && folder[n - 1] == '/')
		n--;
	return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

bool catalog_is_unstored(const char *field)
{
	return strcmp(field, "image.path") == 0 || strcmp(field, "image.modified") == 0;
}

bool catalog_has_words(enum vd_field_type type)
{
	return type == VD_FIELD_TEXT || type == VD_FIELD_WORD || type == VD_FIELD_VERSION ||
	       type == VD_FIELD_PURL;
}
