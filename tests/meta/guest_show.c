/* SPDX-License-Identifier: MIT */
/*
 * What the guest readers see, as text for shell tests to compare:
 *
 *   guest_show layout IMAGE          the partition table and what stands in each partition
 *   guest_show tree IMAGE [START]    each file: type, size, mtime, CRC-32 of its content, path
 *   guest_show free IMAGE [START]    each free stretch: start, length
 *
 * Columns are separated by tabs. START is the byte at which the partition begins.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <vdisk/disk.h>
#include <vdisk/guest.h>

static struct vd_error err = VD_ERROR_INIT;

static int fail(const char *what)
{
	fprintf(stderr, "guest_show: %s: %s\n", what, err.text);
	return 1;
}

static int show_layout(struct vd_disk *disk)
{
	struct vd_layout *layout;

	if (vd_guest_read_layout(&layout, disk, &err) != 0)
		return fail("layout");
	printf("layout\t%s\t%s\t%s\n", vd_scheme_name(layout->scheme), layout->disk_uuid,
	       layout->problem ? layout->problem : "");
	for (size_t i = 0; i < layout->n_partitions; i++) {
		const struct vd_partition *p = &layout->partitions[i];
		const struct vd_filesystem *fs = &p->filesystem;

		printf("partition\t%u\t%" PRIu64 "\t%" PRIu64 "\t%s\t%s\t%s\t%s\t%" PRIx64 "\n",
		       p->number, p->start, p->length, p->type, p->uuid, p->name, p->type_name,
		       p->attributes);
		printf("filesystem\t%u\t%s\t%s\t%s\t%s\t%u\t%" PRIu64 "\t%" PRId64 "\t%s\n",
		       p->number, fs->type, fs->version, fs->label, fs->uuid, fs->block_size,
		       fs->size, (int64_t)fs->used, fs->is_dirty ? "dirty" : "clean");
	}
	vd_layout_free(layout);
	return 0;
}

static int show_file(void *user, const char *path, const struct vd_file_info *info,
		     struct vd_guest_file *file)
{
	static const char kinds[] = "ofdl";
	static uint8_t buf[100000];
	uint64_t offset = 0;
	uLong crc = 0;
	size_t n = 1;

	while (file && n) {
		if (vd_guest_file_read(file, buf, sizeof(buf), offset, &n, &err) != 0) {
			*(int *)user = fail(path);
			return 0;
		}
		crc = crc32(crc, buf, (uInt)n);
		offset += n;
	}
	printf("%c\t%" PRIu64 "\t%" PRId64 "\t%08lx\t%s\n", kinds[info->type], info->size,
	       info->mtime, crc, path);
	return 0;
}

static void show_problem(void *user, const char *path, const struct vd_error *why)
{
	printf("problem\t%s\t%s\n", path, why->text);
	*(int *)user = 1;
}

static int show_free(void *user, uint64_t start, uint64_t length)
{
	(void)user;
	printf("%" PRIu64 "\t%" PRIu64 "\n", start, length);
	return 0;
}

static int show_files(struct vd_disk *disk, uint64_t start, bool is_tree)
{
	struct vd_guest_fs *fs;
	int rc, result = 0;

	if (vd_guest_fs_open(&fs, disk, start, vd_disk_size(disk) - start, &err) != 0)
		return fail("open");
	rc = is_tree ? vd_guest_fs_walk(fs, "/", show_file, show_problem, &result, &err)
		     : vd_guest_fs_free_space(fs, show_free, NULL, &err);
	if (rc != 0)
		result = fail("walk");
	vd_guest_fs_close(fs);
	return result;
}

int main(int argc, char **argv)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	uint64_t start = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
	struct vd_disk *disk;
	int rc = 2;

	if (argc < 3) {
		fprintf(stderr, "usage: guest_show layout|tree|free IMAGE [START]\n");
		return 2;
	}
	if (strstr(argv[2], ".vhdx") == NULL)
		opts.format = VD_FORMAT_RAW;
	if (vd_disk_open(&disk, argv[2], &opts, &err) != 0)
		return fail(argv[2]);
	if (strcmp(argv[1], "layout") == 0)
		rc = show_layout(disk);
	else if (strcmp(argv[1], "tree") == 0 || strcmp(argv[1], "free") == 0)
		rc = show_files(disk, start, argv[1][0] == 't');
	vd_disk_close(disk, NULL);
	return rc;
}
