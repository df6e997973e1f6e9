// SPDX-License-Identifier: MIT
/* Where the guest mounts its file systems: /etc/fstab, in all the ways that name a device there. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "image/scan.h"

#define LINES_MAX 4096u

/* fstab writes a blank as \040. */
static void unescape(char *text)
{
	char *to = text;

	for (char *p = text; *p; p++, to++) {
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' &&
		    p[3] >= '0' && p[3] <= '7') {
			*to = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));
			p += 3;
		} else {
			*to = *p;
		}
	}
	*to = '\0';
}

/* The value behind KEY= or behind a folder of /dev/disk, without quotes; NULL: another kind. */
static const char *named_by(char *spec, const char *key, const char *folder)
{
	size_t key_len = strlen(key), folder_len = strlen(folder);
	char *value = NULL;

	if (strncasecmp(spec, key, key_len) == 0)
		value = spec + key_len;
	else if (strncmp(spec, folder, folder_len) == 0)
		value = spec + folder_len;
	if (value && value[0] == '"') {
		value++;
		value[strcspn(value, "\"")] = '\0';
	}
	return value && value[0] ? value : NULL;
}

/* The number at the end of /dev/sda1, /dev/vdb2, /dev/nvme0n1p3; 0: none. We have one disk, and
 * which letter the guest gave it isn't known; the first of its kind is meant. */
static uint32_t device_number(const char *spec)
{
	static const char *const disks[] = {"/dev/sda",  "/dev/vda",      "/dev/hda",
					    "/dev/xvda", "/dev/nvme0n1p", "/dev/mmcblk0p"};

	for (size_t i = 0; i < sizeof(disks) / sizeof(disks[0]); i++) {
		size_t len = strlen(disks[i]);

		if (strncmp(spec, disks[i], len) == 0 && isdigit((unsigned char)spec[len]) &&
		    strlen(spec + len) <= 3)
			return (uint32_t)strtoul(spec + len, NULL, 10);
	}
	return 0;
}

static bool is_meant(const struct vd_partition *partition, char *spec)
{
	const char *value;

	value = named_by(spec, "UUID=", "/dev/disk/by-uuid/");
	if (value)
		return strcasecmp(value, partition->filesystem.uuid) == 0;
	value = named_by(spec, "LABEL=", "/dev/disk/by-label/");
	if (value)
		return strcmp(value, partition->filesystem.label) == 0;
	value = named_by(spec, "PARTUUID=", "/dev/disk/by-partuuid/");
	if (value)
		return strcasecmp(value, partition->uuid) == 0;
	value = named_by(spec, "PARTLABEL=", "/dev/disk/by-partlabel/");
	if (value)
		return strcmp(value, partition->name) == 0;
	return partition->number && device_number(spec) == partition->number;
}

static void take_line(struct vd_scan *scan, char *line)
{
	char *rest = NULL, *spec, *mount;

	spec = strtok_r(line, " \t\r", &rest);
	mount = strtok_r(NULL, " \t\r", &rest);
	if (!spec || spec[0] == '#' || !mount || mount[0] != '/')
		return;
	unescape(spec);
	unescape(mount);
	for (size_t i = 0; i < scan->n_fs; i++) {
		struct vd_scan_fs *fs = &scan->fs[i];

		if (fs->mount[0] || !is_meant(fs->partition, spec))
			continue;
		vd_scan_clean(fs->mount, sizeof(fs->mount), mount, strlen(mount));
		return;
	}
}

void vd_scan_read_mounts(struct vd_scan *scan)
{
	char *text VD_AUTO_FREE = NULL;
	struct vd_error why = VD_ERROR_INIT;
	char *rest = NULL;
	size_t len, n = 0;
	int rc;

	snprintf(scan->root->mount, sizeof(scan->root->mount), "/");
	rc = vd_guest_fs_slurp(scan->root->guest, "/etc/fstab", VD_SCAN_SMALL_MAX, &text, &len,
			       &why);
	if (rc && rc != VD_ENOENT)
		vd_scan_tell(scan, "mount points aren't known: %s", why.text);
	if (rc)
		return;
	for (char *line = strtok_r(text, "\n", &rest); line && n < LINES_MAX;
	     line = strtok_r(NULL, "\n", &rest), n++)
		take_line(scan, line);
}
