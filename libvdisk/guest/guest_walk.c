// SPDX-License-Identifier: MIT
/*
 * Folders and whole trees, in the order of names.
 *
 * A tree on a disk needs not be one: folders may contain themselves, be reached on many ways, or
 * go down for ever. A walk enters each folder (by its inode) once, holds names up to a bound, and
 * tells what it left out.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "guest/guest_handle.h"

/* Bytes of names of one folder; of all folders on the way down to the current one. */
#define NAMES_MAX   (64u << 20)
#define ENTRIES_MAX (1u << 20)
#define WAY_MAX     (256u << 20)
#define LEVELS_MAX  1024u
#define FOLDERS_MAX (4u << 20)

/* ---- the names of a folder ---- */

struct gathering {
	struct vd_guest_names *names;
	bool is_too_many, is_out_of_memory;
};

static bool grow(void **p, size_t *n_max, size_t needed, size_t each)
{
	size_t n = *n_max ? *n_max : 64;
	void *larger;

	if (needed <= *n_max)
		return true;
	while (n < needed)
		n *= 2;
	larger = vd_realloc(*p, n * each);
	if (!larger)
		return false;
	*p = larger;
	*n_max = n;
	return true;
}

static int gather(void *user, const char *name, uint64_t inode, enum vd_file_type type)
{
	struct gathering *gathering = user;
	struct vd_guest_names *names = gathering->names;
	size_t len = strlen(name) + 1;

	gathering->is_too_many = names->n == ENTRIES_MAX || names->text_len + len > NAMES_MAX;
	if (gathering->is_too_many)
		return VD_EUNSUPPORTED;
	if (!grow((void **)&names->text, &names->text_size, names->text_len + len, 1) ||
	    !grow((void **)&names->entries, &names->n_max, names->n + 1, sizeof(*names->entries))) {
		gathering->is_out_of_memory = true;
		return VD_ENOMEM;
	}
	memcpy(names->text + names->text_len, name, len);
	names->entries[names->n++] = (struct vd_guest_named){names->text_len, inode, type};
	names->text_len += len;
	return 0;
}

static int by_name(const void *a, const void *b, void *text)
{
	const struct vd_guest_named *p = a, *q = b;

	return strcmp((char *)text + p->name, (char *)text + q->name);
}

int vd_guest_names_read(struct vd_guest_names *names, struct vd_guest_fs *fs, uint64_t folder,
			struct vd_error *err)
{
	struct gathering gathering = {names, false, false};
	int rc = fs->ops->list(fs->state, folder, gather, &gathering, err);

	if (gathering.is_out_of_memory)
		return vd_no_memory(err, names->text_len, "the names of a folder");
	if (gathering.is_too_many)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "a folder of more than %u names, or %u bytes of them",
				    ENTRIES_MAX, NAMES_MAX);
	if (!rc && names->n)
		qsort_r(names->entries, names->n, sizeof(*names->entries), by_name, names->text);
	return rc;
}

void vd_guest_names_free(struct vd_guest_names *names)
{
	vd_free(names->text);
	vd_free(names->entries);
	memset(names, 0, sizeof(*names));
}

/* A name whose inode can't be read is shown all the same, as what its folder calls it. */
int vd_guest_fs_list(struct vd_guest_fs *fs, const char *folder, vd_name_fn fn, void *user,
		     struct vd_error *err)
{
	struct vd_guest_names names = {0};
	uint64_t inode;
	int rc = vd_guest_resolve(fs, folder, true, &inode, err);

	if (rc)
		return rc;
	rc = vd_guest_names_read(&names, fs, inode, err);
	if (rc)
		rc = vd_error_prefix(err, rc, "%.200s", folder);
	for (size_t i = 0; i < names.n && !rc; i++) {
		const struct vd_guest_named *entry = &names.entries[i];
		struct vd_file_info info;

		if (fs->ops->info(fs->state, entry->inode, &info, NULL)) {
			memset(&info, 0, sizeof(info));
			info.type = entry->type;
			info.inode = entry->inode;
		}
		rc = fn(user, names.text + entry->name, &info);
	}
	vd_guest_names_free(&names);
	return rc;
}

/* ---- the walk ---- */

struct level {
	struct vd_guest_names names;
	size_t next;
	size_t path_len; /* of the folder, without a slash at the end */
};

struct walk {
	struct vd_guest_fs *fs;
	vd_walk_fn fn;
	vd_problem_fn problem;
	void *user;
	struct level *levels;
	size_t n_levels;
	size_t held;    /* bytes of names on the way down */
	uint64_t *seen; /* open addressing; 0: free. Inodes of folders */
	size_t n_seen, seen_size;
	char path[VD_GUEST_PATH_MAX];
};

static size_t seen_slot(const struct walk *walk, uint64_t inode)
{
	size_t i = (size_t)((inode * 0x9e3779b97f4a7c15u) >> 20) & (walk->seen_size - 1);

	while (walk->seen[i] && walk->seen[i] != inode)
		i = (i + 1) & (walk->seen_size - 1);
	return i;
}

static bool grow_seen(struct walk *walk)
{
	uint64_t *old = walk->seen;
	size_t n_old = walk->seen_size;

	walk->seen_size = n_old ? n_old * 2 : 1024;
	walk->seen = vd_calloc(walk->seen_size, sizeof(*walk->seen));
	if (!walk->seen) {
		walk->seen = old;
		walk->seen_size = n_old;
		return false;
	}
	for (size_t i = 0; i < n_old; i++)
		if (old[i])
			walk->seen[seen_slot(walk, old[i])] = old[i];
	vd_free(old);
	return true;
}

/* 0; VD_EEXIST: the walk was there already. */
static int enter_once(struct walk *walk, uint64_t inode, struct vd_error *err)
{
	size_t slot;

	if (walk->n_seen >= FOLDERS_MAX)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET, "more than %u folders",
				    FOLDERS_MAX);
	if (walk->n_seen * 2 >= walk->seen_size && !grow_seen(walk))
		return vd_no_memory(err, walk->seen_size * 16, "the folders of a walk");
	inode += inode == 0;
	slot = seen_slot(walk, inode);
	if (walk->seen[slot])
		return vd_error_set(err, VD_EEXIST, 0, VD_NO_OFFSET,
				    "this folder (inode %" PRIu64 ") stands at another path, too",
				    inode);
	walk->seen[slot] = inode;
	walk->n_seen++;
	return 0;
}

/* What ends a walk; all else is a problem of one folder or file. */
static bool is_final(int rc)
{
	return rc == VD_ECANCELED || rc == VD_ETIMEDOUT || rc == VD_ENOMEM;
}

static int tell(struct walk *walk, int rc, const struct vd_error *why, struct vd_error *err)
{
	if (is_final(rc))
		return vd_error_set(err, rc, why->sys_errno, why->offset, "%s", why->text);
	if (walk->problem)
		walk->problem(walk->user, walk->path[0] ? walk->path : "/", why);
	return 0;
}

static size_t names_size(const struct vd_guest_names *names)
{
	return names->text_size + names->n_max * sizeof(*names->entries);
}

static int descend(struct walk *walk, uint64_t inode, size_t path_len, struct vd_error *err)
{
	struct level *level = &walk->levels[walk->n_levels];
	struct vd_error why = VD_ERROR_INIT;
	int rc;

	if (walk->n_levels == LEVELS_MAX || walk->held > WAY_MAX)
		rc = vd_error_set(&why, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				  "too deep: %zu folders, %zu bytes of names", walk->n_levels,
				  walk->held);
	else
		rc = enter_once(walk, inode, &why);
	if (rc)
		return tell(walk, rc, &why, err);
	memset(level, 0, sizeof(*level));
	rc = vd_guest_names_read(&level->names, walk->fs, inode, &why);
	if (rc) {
		/* What was read of a broken folder isn't shown: half a folder looks like a whole
		 * one. */
		vd_guest_names_free(&level->names);
		return tell(walk, rc, &why, err);
	}
	level->path_len = path_len;
	walk->held += names_size(&level->names);
	walk->n_levels++;
	return 0;
}

static void ascend(struct walk *walk)
{
	struct level *level = &walk->levels[--walk->n_levels];

	walk->held -= names_size(&level->names);
	vd_guest_names_free(&level->names);
}

static int visit(struct walk *walk, const struct vd_guest_named *entry, const char *name,
		 size_t folder_len, struct vd_error *err)
{
	struct vd_guest_file file = {walk->fs, entry->inode};
	struct vd_error why = VD_ERROR_INIT;
	struct vd_file_info info;
	size_t len = strlen(name);
	int rc;

	walk->path[folder_len] = '\0';
	if (folder_len + 1 + len >= sizeof(walk->path)) {
		rc = vd_error_set(&why, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				  "paths of more than %u bytes are left out", VD_GUEST_PATH_MAX);
		return tell(walk, rc, &why, err);
	}
	walk->path[folder_len] = '/';
	memcpy(walk->path + folder_len + 1, name, len + 1);
	rc = walk->fs->ops->info(walk->fs->state, entry->inode, &info, &why);
	if (rc)
		return tell(walk, rc, &why, err);
	rc = walk->fn(walk->user, walk->path, &info, info.type == VD_FILE_REGULAR ? &file : NULL);
	if (!rc && info.type == VD_FILE_FOLDER)
		rc = descend(walk, entry->inode, folder_len + 1 + len, err);
	return rc;
}

int vd_guest_fs_walk(struct vd_guest_fs *fs, const char *root, vd_walk_fn fn, vd_problem_fn problem,
		     void *user, struct vd_error *err)
{
	struct walk *walk VD_AUTO_FREE = vd_calloc(1, sizeof(*walk));
	struct level *levels VD_AUTO_FREE = vd_calloc(LEVELS_MAX, sizeof(*levels));
	size_t len = strlen(root);
	uint64_t inode;
	int rc;

	if (!walk || !levels)
		return vd_no_memory(err, sizeof(*walk), "a walk");
	*walk = (struct walk){.fs = fs, .fn = fn, .problem = problem, .user = user};
	walk->levels = levels;
	rc = vd_guest_resolve(fs, root, true, &inode, err);
	if (rc)
		return rc;
	while (len && root[len - 1] == '/')
		len--;
	memcpy(walk->path, root, len);
	rc = descend(walk, inode, len, err);
	while (!rc && walk->n_levels) {
		struct level *level = &walk->levels[walk->n_levels - 1];

		if (level->next == level->names.n) {
			ascend(walk);
			continue;
		}
		level->next++;
		rc = visit(walk, &level->names.entries[level->next - 1],
			   level->names.text + level->names.entries[level->next - 1].name,
			   level->path_len, err);
	}
	while (walk->n_levels)
		ascend(walk);
	vd_free(walk->seen);
	return rc;
}
