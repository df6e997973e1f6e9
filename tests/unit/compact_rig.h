/* SPDX-License-Identifier: MIT */
/* Images for tests of vd_compact, by how they were used, beside a model of their content. Closing
 * one checks the content and that the DataWriteGuid has stayed. */
#ifndef TEST_COMPACT_RIG_H
#define TEST_COMPACT_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdisk/compact.h>
#include <vdisk/disk.h>
#include <vdisk/sys/space.h>

#include "model.h"
#include "scratch.h"
#include "stamp.h"
#include "store.h"
#include "vhdxgen.h"

#define MIB  GEN_MIB
#define PAGE 4096u
#define DISK (48 * MIB + 512)

static struct vd_error err;

static inline void must(int ret)
{
	if (ret)
		fail_msg("%s", err.text);
}

struct image {
	struct store *store;
	struct vd_io *io;
	struct vd_disk *disk;
	struct model *model;
	uint8_t id[16]; /* the DataWriteGuid */
};

static inline void open_image(struct image *image)
{
	struct vd_disk_info info = {.size = sizeof(info)};

	image->io = store_io(image->store, true);
	image->disk = scratch_open_io(image->io, VD_OPEN_WRITE);
	vd_disk_get_info(image->disk, &info);
	memcpy(image->id, info.data_write_id, 16);
}

/* Content as it must be, the same DataWriteGuid as when it was opened, and a clean check. */
static inline void close_image(struct image *image)
{
	struct vd_disk_info info = {.size = sizeof(info)};
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	uint64_t n_errors = 0;
	char text[800];

	if (!model_check_disk(image->model, MODEL_LIVE, image->disk, text, sizeof(text)))
		fail_msg("before the close: %s", text);
	must(vd_disk_close(image->disk, &err));
	opts.flags = VD_OPEN_NO_PARENTS;
	must(vd_disk_check_io(image->io, &opts, NULL, NULL, &n_errors, &err));
	assert_int_equal(n_errors, 0);
	image->disk = scratch_open_io(image->io, 0);
	if (!model_check_disk(image->model, MODEL_LIVE, image->disk, text, sizeof(text)))
		fail_msg("after the close: %s", text);
	vd_disk_get_info(image->disk, &info);
	assert_memory_equal(info.data_write_id, image->id, 16);
	must(vd_disk_close(image->disk, &err));
	vd_io_close(image->io);
}

static inline void drop_image(struct image *image)
{
	close_image(image);
	model_free(image->model);
	store_free(image->store);
}

static inline void put(struct image *image, uint64_t offset, size_t len, uint32_t generation)
{
	uint8_t *buf = calloc(1, len);

	if (generation)
		stamp_fill(buf, len, offset, generation, model_seed(image->model));
	must(vd_disk_write(image->disk, buf, len, offset, &err));
	model_write(image->model, offset, len, generation);
	free(buf);
}

static inline void discard(struct image *image, uint64_t offset, uint64_t len)
{
	must(vd_disk_discard(image->disk, offset, len, &err));
	model_write(image->model, offset, len, 0);
}

/* Written upside down; every third block freed, every fourth zero, of the rest some half zero. */
static inline void fill(struct image *image, uint64_t n_blocks)
{
	for (uint64_t i = n_blocks; i-- > 0;)
		put(image, i * MIB, MIB, (uint32_t)i + 1);
	for (uint64_t i = 0; i < n_blocks; i++) {
		if (i % 3 == 0)
			discard(image, i * MIB, MIB);
		else if (i % 4 == 1)
			put(image, i * MIB, MIB, 0);
		else if (i % 5 == 2)
			put(image, i * MIB + 16 * PAGE, 100 * PAGE, 0);
	}
	must(vd_disk_flush(image->disk, &err));
}

static inline void make(struct image *image, enum vd_disk_type type, const char *parent,
			struct model *model)
{
	const char *dir = scratch_dir();
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_io *io;

	image->store = store_new(NULL);
	image->model = model;
	io = store_io(image->store, true);
	create.type = type;
	create.virtual_size = model_size(model);
	create.block_size = (uint32_t)MIB;
	create.log_size = (uint32_t)MIB;
	create.parent = parent;
	create.parent_roots = &dir;
	create.n_parent_roots = 1;
	must(vd_disk_create_io(io, &create, &err));
	vd_io_close(io);
	open_image(image);
}

/* A used image, closed and opened again: the session of the compaction is its own. */
static inline void make_used(struct image *image)
{
	make(image, VD_TYPE_DYNAMIC, NULL, model_new(DISK, 5));
	fill(image, 40);
	must(vd_disk_close(image->disk, &err));
	vd_io_close(image->io);
	open_image(image);
}

static inline struct vd_compact_result compact(struct image *image, enum vd_compact_level level,
					       uint32_t flags)
{
	struct vd_compact_result result = {.size = sizeof(result)};
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;

	opts.level = level;
	opts.flags = flags;
	must(vd_compact(image->disk, &opts, &result, &err));
	return result;
}

#define CHILD ((uint64_t)5 << 30)

static inline const char *make_parent(struct model *model)
{
	const char *path = scratch_path("compact-parent.vhdx");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct image image = {.model = model};

	unlink(path);
	create.virtual_size = CHILD;
	opts.flags = VD_OPEN_WRITE;
	must(vd_disk_create(path, &create, &err));
	must(vd_disk_open(&image.disk, path, &opts, &err));
	put(&image, 0, 6 * MIB, 90);
	must(vd_disk_close(image.disk, &err));
	return path;
}

#endif
