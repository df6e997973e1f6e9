/* SPDX-License-Identifier: MIT */
/*
 * Metadata items of a VHDX from the shell, below all that vdisk/meta.h knows:
 *
 *   itemctl list IMAGE                   id, flags, length, offset of each
 *   itemctl put IMAGE ID FLAGS           stdin becomes the item (FLAGS: 1 user, 3 virtual disk too)
 *   itemctl get IMAGE ID                 its bytes
 *   itemctl remove IMAGE ID              take it away
 *   itemctl flip IMAGE ID OFFSET         turn over a bit of its byte in the file, as rot would
 *   itemctl find IMAGE TEXT              ids of the items that hold TEXT
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include <vdisk/disk.h>
#include <vdisk/item.h>

static int fail(const char *what, const struct vd_error *err)
{
	fprintf(stderr, "itemctl: %s: %s\n", what, err ? err->text : "");
	return 1;
}

static int list(struct vd_disk *disk, const char *text)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_item *items;
	size_t n;

	if (vd_disk_list_items(disk, &items, &n, &err))
		return fail("list", &err);
	for (size_t i = 0; i < n; i++) {
		uint8_t *bytes = malloc(items[i].length + 1u);
		char id[37];

		uuid_unparse_lower(items[i].id, id);
		if (!bytes || vd_disk_read_item(disk, items[i].id, bytes, items[i].length, 0, &err))
			return fail(id, &err);
		if (!text)
			printf("%s %u %u %" PRIu64 "\n", id, items[i].flags, items[i].length,
			       items[i].offset);
		else if (memmem(bytes, items[i].length, text, strlen(text)))
			printf("%s\n", id);
		free(bytes);
	}
	vd_items_free(items);
	return 0;
}

static int find_item(struct vd_disk *disk, const uint8_t id[16], struct vd_item *item)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_item *items;
	size_t n;
	int rc = 1;

	if (vd_disk_list_items(disk, &items, &n, &err))
		return fail("list", &err);
	for (size_t i = 0; i < n && rc; i++) {
		if (memcmp(items[i].id, id, 16) == 0) {
			*item = items[i];
			rc = 0;
		}
	}
	vd_items_free(items);
	return rc;
}

static int get(struct vd_disk *disk, const uint8_t id[16])
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_item item;
	uint8_t *bytes;
	int rc;

	if (find_item(disk, id, &item))
		return fail("no such item", NULL);
	bytes = malloc(item.length + 1u);
	if (!bytes || vd_disk_read_item(disk, id, bytes, item.length, 0, &err))
		return fail("get", &err);
	rc = fwrite(bytes, 1, item.length, stdout) != item.length;
	free(bytes);
	return rc;
}

static int put(struct vd_disk *disk, const uint8_t id[16], const char *flags)
{
	struct vd_item_change change = {.flags = (uint32_t)atoi(flags)};
	struct vd_error err = VD_ERROR_INIT;
	char *bytes = malloc(VD_ITEM_MAX + 1);

	if (!bytes)
		return fail("memory", NULL);
	memcpy(change.id, id, 16);
	change.length = (uint32_t)fread(bytes, 1, VD_ITEM_MAX + 1, stdin);
	change.data = bytes;
	if (vd_disk_change_items(disk, &change, 1, &err))
		return fail("put", &err);
	free(bytes);
	return 0;
}

static int drop(struct vd_disk *disk, const uint8_t id[16])
{
	struct vd_item_change change = {.flags = VD_ITEM_USER, .is_removal = true};
	struct vd_error err = VD_ERROR_INIT;

	memcpy(change.id, id, 16);
	return vd_disk_change_items(disk, &change, 1, &err) ? fail("remove", &err) : 0;
}

static int flip(struct vd_disk *disk, const char *path, const uint8_t id[16], const char *at)
{
	long offset = atol(at);
	struct vd_item item;
	uint8_t byte;
	int fd;

	if (find_item(disk, id, &item) || offset < 0 || offset >= (long)item.length)
		return fail("no such byte", NULL);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || pread(fd, &byte, 1, (off_t)item.offset + offset) != 1)
		return fail("read", NULL);
	byte ^= 0x10;
	if (pwrite(fd, &byte, 1, (off_t)item.offset + offset) != 1 || fsync(fd) != 0)
		return fail("write", NULL);
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk;
	uint8_t id[16] = {0};
	const char *verb = argc > 2 ? argv[1] : "";
	int rc = 2;

	if (argc > 3 && strcmp(verb, "find") != 0 && uuid_parse(argv[3], id) != 0)
		return fail("not an id", NULL);
	opts.flags = VD_OPEN_NO_PARENTS |
		     (strcmp(verb, "put") == 0 || strcmp(verb, "remove") == 0 ? VD_OPEN_WRITE : 0);
	if (argc < 3 || vd_disk_open(&disk, argv[2], &opts, &err))
		return fail(argc < 3 ? "which image?" : argv[2], &err);
	if (strcmp(verb, "list") == 0)
		rc = list(disk, NULL);
	else if (strcmp(verb, "find") == 0 && argc > 3)
		rc = list(disk, argv[3]);
	else if (strcmp(verb, "get") == 0 && argc > 3)
		rc = get(disk, id);
	else if (strcmp(verb, "put") == 0 && argc > 4)
		rc = put(disk, id, argv[4]);
	else if (strcmp(verb, "remove") == 0 && argc > 3)
		rc = drop(disk, id);
	else if (strcmp(verb, "flip") == 0 && argc > 4)
		rc = flip(disk, argv[2], id, argv[4]);
	if (vd_disk_close(disk, &err) && !rc)
		rc = fail("close", &err);
	return rc;
}
