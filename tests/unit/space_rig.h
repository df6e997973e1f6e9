/* SPDX-License-Identifier: MIT */
/* An image in a store for tests of vdisk/sys/space.h: stamped content that is put and expected,
 * what uses the file, and each call of the header with what must come of it. */
#ifndef TEST_SPACE_RIG_H
#define TEST_SPACE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdisk/disk.h>
#include <vdisk/sys/io.h>
#include <vdisk/sys/space.h>

#include "scratch.h"
#include "stamp.h"
#include "store.h"
#include "vhdxgen.h"

#define MIB   GEN_MIB
#define BLOCK (2 * MIB)
#define PAGE  4096u
#define SEED  17u
#define HOLD  1000u

static struct vd_error err;

static inline void must(int ret)
{
	if (ret)
		fail_msg("%s", err.text);
}

/* An open image in a store. */
struct image {
	struct store *store;
	struct vd_io *io;
	struct vd_disk *disk;
	uint8_t id[16]; /* DataWriteGuid as it was */
};

static inline void open_image(struct image *image)
{
	struct vd_disk_info info = {.size = sizeof(info)};

	image->io = store_io(image->store, true);
	image->disk = scratch_open_io(image->io, VD_OPEN_WRITE);
	vd_disk_get_info(image->disk, &info);
	memcpy(image->id, info.data_write_id, 16);
}

static inline void close_image(struct image *image)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	uint64_t n_errors = 0;

	must(vd_disk_close(image->disk, &err));
	opts.flags = VD_OPEN_NO_PARENTS;
	must(vd_disk_check_io(image->io, &opts, NULL, NULL, &n_errors, &err));
	assert_int_equal(n_errors, 0);
	vd_io_close(image->io);
}

/* In the file: a handle tells what was there when it was opened. */
static inline bool has_same_id(const struct image *image)
{
	struct vd_disk_info info = {.size = sizeof(info)};
	struct vd_io *io = store_io(image->store, false);
	struct vd_disk *disk = scratch_open_io(io, VD_OPEN_NO_PARENTS);

	vd_disk_get_info(disk, &info);
	must(vd_disk_close(disk, &err));
	vd_io_close(io);
	return !memcmp(info.data_write_id, image->id, 16);
}

static inline void make(struct image *image, enum vd_disk_type type, uint64_t size,
			const char *parent)
{
	const char *dir = scratch_dir();
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_io *io;

	image->store = store_new(NULL);
	io = store_io(image->store, true);
	create.type = type;
	create.virtual_size = size;
	create.block_size = (uint32_t)MIB;
	create.log_size = (uint32_t)MIB;
	create.parent = parent;
	create.parent_roots = &dir;
	create.n_parent_roots = 1;
	must(vd_disk_create_io(io, &create, &err));
	vd_io_close(io);
	open_image(image);
}

static inline void make_foreign(struct image *image, const struct vhdxgen *g)
{
	image->store = store_new(NULL);
	vhdxgen_emit(g, image->store);
	open_image(image);
}

static inline void drop_image(struct image *image)
{
	close_image(image);
	store_free(image->store);
}

static inline void put(struct vd_disk *disk, uint64_t offset, size_t len, uint32_t generation)
{
	uint8_t *buf = calloc(1, len);

	if (generation)
		stamp_fill(buf, len, offset, generation, SEED);
	must(vd_disk_write(disk, buf, len, offset, &err));
	free(buf);
}

static inline void expect(struct vd_disk *disk, uint64_t offset, size_t len, uint32_t generation)
{
	uint8_t *buf = malloc(len);
	char text[300];

	must(vd_disk_read(disk, buf, len, offset, &err));
	if (!stamp_verify(buf, len, offset, generation, SEED, text, sizeof(text)))
		fail_msg("%s", text);
	free(buf);
}

struct uses {
	struct vd_use_range range[64];
	size_t n;
};

static inline int gather(void *user, const struct vd_use_range *range)
{
	struct uses *uses = user;

	assert_true(uses->n < 64);
	uses->range[uses->n++] = *range;
	return 0;
}

static inline const struct vd_use_range *find(struct vd_disk *disk, enum vd_use use,
					      uint64_t number)
{
	static struct uses uses;

	uses.n = 0;
	must(vd_disk_list_use(disk, gather, &uses, &err));
	for (size_t i = 0; i < uses.n; i++)
		if (uses.range[i].use == use && uses.range[i].number == number)
			return &uses.range[i];
	return NULL;
}

static inline uint64_t place_of(struct vd_disk *disk, enum vd_use use, uint64_t number)
{
	const struct vd_use_range *range = find(disk, use, number);

	return range ? range->offset : 0;
}

static inline uint64_t file_size(struct vd_disk *disk)
{
	struct vd_space_info info = {.size = sizeof(info)};

	must(vd_disk_get_space(disk, &info, &err));
	return info.file_size;
}

static inline int move(struct vd_disk *disk, uint64_t number, uint64_t to)
{
	return vd_disk_move_block(disk, VD_USE_BLOCK, number, place_of(disk, VD_USE_BLOCK, number),
				  to, HOLD, NULL, &err);
}

static inline uint64_t drop(struct vd_disk *disk, uint64_t number, enum vd_drop how)
{
	uint64_t n = 99;

	must(vd_disk_drop_block(disk, number, how, HOLD, &n, &err));
	return n;
}

static inline uint64_t cut(struct vd_disk *disk, uint64_t keep)
{
	uint64_t length = 0;

	must(vd_disk_cut(disk, keep, &length, &err));
	assert_int_equal(length, file_size(disk));
	return length;
}

/* A file with stamps in its first 4 MiB. */
static inline const char *make_parent(uint64_t size)
{
	const char *path = scratch_path("space-parent.vhdx");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk = NULL;

	unlink(path);
	create.virtual_size = size;
	opts.flags = VD_OPEN_WRITE;
	must(vd_disk_create(path, &create, &err));
	must(vd_disk_open(&disk, path, &opts, &err));
	put(disk, 0, 4 * MIB, 1);
	must(vd_disk_close(disk, &err));
	return path;
}

#endif
