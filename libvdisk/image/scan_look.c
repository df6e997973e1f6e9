// SPDX-License-Identifier: MIT
/*
 * Looking at a disk: its partitions, the file systems that can be opened, which of them is the
 * root of an operating system, and what that holds.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "image/scan.h"
#include "image/scan_windows.h"

#define PROBLEMS_MAX 1000u

void vd_scan_tell(struct vd_scan *scan, const char *fmt, ...)
{
	struct vd_error text;
	va_list ap;

	/* Thousands of broken files are one broken disk. */
	if (++scan->result->n_problems > PROBLEMS_MAX || !scan->opts->problem)
		return;
	va_start(ap, fmt);
	vd_error_vset(&text, VD_EUNSUPPORTED, 0, VD_NO_OFFSET, fmt, ap);
	va_end(ap);
	scan->opts->problem(scan->opts->user, text.text);
}

void vd_scan_missed(struct vd_scan *scan, const char *path, int rc, const struct vd_error *why)
{
	if (rc && rc != VD_ENOENT && rc != VD_EINVAL)
		vd_scan_tell(scan, "%s wasn't read: %s", path, why->text);
}

int vd_scan_progress(struct vd_scan *scan, const char *what, struct vd_error *err)
{
	if (!scan->opts->progress ||
	    !scan->opts->progress(scan->opts->user, scan->result->n_files, what))
		return 0;
	return vd_error_set(err, VD_ECANCELED, 0, VD_NO_OFFSET, "the scan was ended");
}

/* What ends a scan: all else is told, and the scan goes on. */
static bool is_final(int rc)
{
	return rc == VD_ENOMEM || rc == VD_ECANCELED || rc == VD_ETIMEDOUT;
}

/* "partition 2 (ext4)", "the disk (ext4)" */
static void name_place(const struct vd_partition *partition, char *to, size_t size)
{
	if (partition->number)
		snprintf(to, size, "partition %" PRIu32 " (%.15s)", partition->number,
			 partition->filesystem.type);
	else
		snprintf(to, size, "the disk (%.15s)", partition->filesystem.type);
}

/* What holds nothing that a scan could read isn't told. */
static bool holds_files(const char *type)
{
	static const char *const without[] = {"", "swap", "swsuspend"};

	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
		if (strcmp(type, without[i]) == 0)
			return false;
	return true;
}

static int open_one(struct vd_scan *scan, struct vd_scan_fs *fs, struct vd_error *err)
{
	const struct vd_partition *partition = fs->partition;
	struct vd_error why = VD_ERROR_INIT;
	char place[64];
	int rc;

	if (!holds_files(partition->filesystem.type))
		return 0;
	rc = vd_guest_fs_open(&fs->guest, scan->disk, partition->start, partition->length, &why);
	if (is_final(rc))
		return vd_error_set(err, rc, why.sys_errno, why.offset, "%s", why.text);
	name_place(partition, place, sizeof(place));
	if (rc)
		vd_scan_tell(scan, "%s: %s", place, why.text);
	else if (vd_guest_fs_is_dirty(fs->guest))
		vd_scan_tell(scan, "%s wasn't cleanly unmounted: what its journal holds isn't seen",
			     place);
	return 0;
}

static int open_all(struct vd_scan *scan, struct vd_error *err)
{
	int rc = 0;

	scan->n_fs = scan->layout->n_partitions;
	scan->fs = vd_calloc(scan->n_fs ? scan->n_fs : 1, sizeof(*scan->fs));
	if (!scan->fs)
		return vd_no_memory(err, scan->n_fs * sizeof(*scan->fs), "file systems");
	for (size_t i = 0; i < scan->n_fs && !rc; i++) {
		scan->fs[i].partition = &scan->layout->partitions[i];
		rc = vd_scan_progress(scan, "file systems", err);
		if (!rc)
			rc = open_one(scan, &scan->fs[i], err);
	}
	return rc;
}

/* The first file system that says which OS it is; others are told. */
static int find_root(struct vd_scan *scan, struct vd_error *err)
{
	for (size_t i = 0; i < scan->n_fs; i++) {
		struct vd_error why = VD_ERROR_INIT;
		struct vd_scan_os os = {0};
		char place[64];
		int rc;

		if (!scan->fs[i].guest)
			continue;
		rc = vd_scan_read_os_release(scan->fs[i].guest, &os, &why);
		if (rc == VD_ENOENT)
			rc = vd_scan_read_windows(scan, scan->fs[i].guest, &os, &why);
		if (is_final(rc))
			return vd_error_set(err, rc, why.sys_errno, why.offset, "%s", why.text);
		name_place(scan->fs[i].partition, place, sizeof(place));
		if (rc && rc != VD_ENOENT)
			vd_scan_tell(scan, "%s: %s", place, why.text);
		if (rc)
			continue;
		if (scan->root) {
			vd_scan_tell(scan,
				     "%s holds another system (%s): only the first is "
				     "described",
				     place, os.pretty);
			continue;
		}
		scan->root = &scan->fs[i];
		scan->os = os;
	}
	return 0;
}

static void summarize(struct vd_scan *scan)
{
	const struct vd_filesystem *root = &scan->root->partition->filesystem;
	struct vd_scan_result *result = scan->result;

	snprintf(result->os, sizeof(result->os), "%s", scan->os.pretty);
	snprintf(result->root_type, sizeof(result->root_type), "%s", root->type);
	result->fs_size = root->size ? root->size : VD_UNKNOWN;
	result->fs_used = root->used;
}

int vd_scan_look(struct vd_scan *scan, struct vd_error *err)
{
	int rc = vd_guest_read_layout(&scan->layout, scan->disk, err);

	scan->result->fs_size = scan->result->fs_used = VD_UNKNOWN;
	if (rc)
		return rc;
	if (scan->layout->problem)
		vd_scan_tell(scan, "%s", scan->layout->problem);
	rc = open_all(scan, err);
	if (!rc)
		rc = find_root(scan, err);
	if (rc || !scan->root)
		return rc;
	summarize(scan);
	if (strcmp(scan->os.family, "linux") != 0) {
		snprintf(scan->root->mount, sizeof(scan->root->mount), "C:");
		return 0;
	}
	vd_scan_read_machine(scan);
	vd_scan_read_mounts(scan);
	rc = vd_scan_progress(scan, "packages", err);
	return rc ? rc : vd_scan_read_packages(scan, err);
}

void vd_scan_free(struct vd_scan *scan)
{
	for (size_t i = 0; i < scan->n_fs; i++)
		vd_guest_fs_close(scan->fs ? scan->fs[i].guest : NULL);
	vd_free(scan->fs);
	vd_free(scan->purls.text);
	vd_layout_free(scan->layout);
}
