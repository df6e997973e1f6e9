// SPDX-License-Identifier: MIT
/*
 * Opening the file system of a guest, whatever its type: the probe says which it is, the list
 * below who reads it. Free space is asked here too, since the promise about clean file systems is
 * the same for all.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "guest/guest_handle.h"

static const struct vd_guest_fs_ops *const readers[] = {
    &vd_guest_ext_ops,
    &vd_guest_fat_ops,
    &vd_guest_exfat_ops,
    &vd_guest_ntfs_ops,
};

static const struct vd_guest_fs_ops *find_reader(const char *type)
{
	for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++)
		for (const char *const *known = readers[i]->types; *known; known++)
			if (strcmp(*known, type) == 0)
				return readers[i];
	return NULL;
}

int vd_guest_fs_open(struct vd_guest_fs **out, struct vd_disk *disk, uint64_t start,
		     uint64_t length, struct vd_error *err)
{
	struct vd_guest_fs *fs = vd_calloc(1, sizeof(*fs));
	int rc;

	*out = NULL;
	if (!fs)
		return vd_no_memory(err, sizeof(*fs), "a file system");
	rc = vd_guest_view_init(&fs->view, disk, start, length, err);
	if (!rc)
		rc = vd_guest_probe(disk, start, length, &fs->info, err);
	if (!rc && !fs->info.type[0])
		rc = vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				  "no file system is recognised at offset %" PRIu64, start);
	if (!rc) {
		fs->ops = find_reader(fs->info.type);
		if (!fs->ops)
			rc = vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
					  "%s found, not read: this build reads files of ext2/3/4, "
					  "FAT, exFAT and NTFS",
					  fs->info.type);
	}
	if (!rc)
		rc = fs->ops->open(&fs->state, &fs->view, &fs->info, &fs->root, err);
	if (rc) {
		vd_free(fs);
		return rc;
	}
	*out = fs;
	return 0;
}

void vd_guest_fs_close(struct vd_guest_fs *fs)
{
	if (!fs)
		return;
	fs->ops->close(fs->state);
	vd_free(fs);
}

const struct vd_filesystem *vd_guest_fs_info(const struct vd_guest_fs *fs)
{
	return &fs->info;
}

bool vd_guest_fs_is_dirty(const struct vd_guest_fs *fs)
{
	return fs->info.is_dirty;
}

/* ---- free space ---- */

struct free_stretches {
	struct vd_guest_fs *fs;
	vd_free_fn fn;
	void *user;
	uint64_t end; /* of the last one */
	bool is_wrong;
};

/* Who acts on a stretch destroys what is there: what a reader answers is looked at once more. */
static int to_disk(void *user, uint64_t start, uint64_t length)
{
	struct free_stretches *stretches = user;
	const struct vd_guest_view *view = &stretches->fs->view;

	if (!vd_guest_view_has(view, start, length) || start < stretches->end) {
		stretches->is_wrong = true;
		return VD_ECORRUPT;
	}
	stretches->end = start + length;
	return length ? stretches->fn(stretches->user, view->start + start, length) : 0;
}

int vd_guest_fs_free_space(struct vd_guest_fs *fs, vd_free_fn fn, void *user, struct vd_error *err)
{
	struct free_stretches stretches = {fs, fn, user, 0, false};
	int rc;

	if (!fs->ops->free_space)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "the free space of %s isn't known to this build",
				    fs->info.type);
	if (fs->info.is_dirty)
		return vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				    "the %s file system wasn't cleanly unmounted: what it calls "
				    "free may be in use; let the guest start and shut down",
				    fs->info.type);
	rc = fs->ops->free_space(fs->state, to_disk, &stretches, err);
	if (stretches.is_wrong)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "the %s file system calls space free that isn't its own, or "
				    "twice",
				    fs->info.type);
	return rc;
}
