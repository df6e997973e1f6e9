/* SPDX-License-Identifier: MIT */
/* A disk over a hook, for what meets a move, a drop, a punch or a cut at a moment of the test's
 * choice. */
#ifndef TEST_MOVES_BENCH_H
#define TEST_MOVES_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdisk/disk.h>
#include <vdisk/sys/space.h>

#include "hook.h"
#include "scratch.h"
#include "stamp.h"
#include "store.h"

#define MIB  ((uint64_t)1 << 20)
#define PAGE 4096u
#define SEED 91u
#define DISK (16 * MIB)
#define HOLD 5000u

/* A disk over a hook, whose block 1 is the one that things happen to. */
struct bench {
	struct store *store;
	struct vd_io *under, *io;
	struct hook hook;
	struct vd_disk *disk;
	uint64_t from, to; /* of block 1 */
	unsigned n_seen;   /* reads of its first bytes */
	uint64_t page;     /* what the other thread writes */
	pthread_t thread;
	bool has_thread, is_armed;
	_Atomic bool is_inside, is_written, is_moved;
	uint64_t n_unsynced; /* writes behind the headers since the last sync */
	unsigned n_bad;
};

static inline struct bench *of(struct hook *hook)
{
	return hook->user;
}

static inline void must(int ret, const struct vd_error *err)
{
	if (ret)
		fail_msg("%s", err->text);
}

static inline void put(struct vd_disk *disk, uint64_t offset, size_t len, uint32_t generation)
{
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *buf = calloc(1, len);

	if (generation)
		stamp_fill(buf, len, offset, generation, SEED);
	must(vd_disk_write(disk, buf, len, offset, &err), &err);
	free(buf);
}

static inline void expect(struct vd_disk *disk, uint64_t offset, size_t len, uint32_t generation)
{
	struct vd_error err = VD_ERROR_INIT;
	uint8_t *buf = malloc(len);
	char text[300];

	must(vd_disk_read(disk, buf, len, offset, &err), &err);
	if (!stamp_verify(buf, len, offset, generation, SEED, text, sizeof(text)))
		fail_msg("%s", text);
	free(buf);
}

struct place {
	enum vd_use use;
	uint64_t number, offset;
};

static inline int find(void *user, const struct vd_use_range *range)
{
	struct place *place = user;

	if (range->use == place->use && range->number == place->number)
		place->offset = range->offset;
	return 0;
}

static inline uint64_t place_of(struct vd_disk *disk, enum vd_use use, uint64_t number)
{
	struct vd_error err = VD_ERROR_INIT;
	struct place place = {use, number, 0};

	must(vd_disk_list_use(disk, find, &place, &err), &err);
	return place.offset;
}

static inline struct vd_disk *open_io(struct vd_io *io, uint32_t flags)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	const char *root = scratch_dir();
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;

	opts.flags = flags;
	opts.parent_roots = &root;
	opts.n_parent_roots = 1;
	must(vd_disk_open_io(&disk, io, &opts, &err), &err);
	return disk;
}

/* Blocks 0 to 3 are stored, and then there is room. `parent`: NULL, or of which it is a child. */
static inline struct bench *
begin_over(const char *parent, int (*before)(struct hook *, enum hook_call, uint64_t, uint64_t),
	   int (*after)(struct hook *, enum hook_call, uint64_t, uint64_t))
{
	struct bench *b = calloc(1, sizeof(*b));
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;

	b->store = store_new(NULL);
	b->under = store_io(b->store, true);
	create.virtual_size = parent ? 0 : DISK;
	create.parent = parent;
	create.block_size = (uint32_t)MIB;
	create.log_size = (uint32_t)MIB;
	must(vd_disk_create_io(b->under, &create, &err), &err);
	b->hook = (struct hook){.under = b->under, .before = before, .after = after, .user = b};
	b->io = hook_io(&b->hook);
	b->disk = open_io(b->io, VD_OPEN_WRITE);
	put(b->disk, 0, 4 * MIB, 1);
	must(vd_disk_flush(b->disk, &err), &err);
	b->from = place_of(b->disk, VD_USE_BLOCK, 1);
	b->to = place_of(b->disk, VD_USE_BLOCK, 3) + 2 * MIB;
	assert_true(b->from != 0);
	b->is_armed = true;
	return b;
}

static inline struct bench *begin(int (*before)(struct hook *, enum hook_call, uint64_t, uint64_t),
				  int (*after)(struct hook *, enum hook_call, uint64_t, uint64_t))
{
	return begin_over(NULL, before, after);
}

static inline const char *make_parent(void)
{
	const char *path = scratch_path("moves-parent.vhdx");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;

	create.virtual_size = DISK;
	unlink(path);
	must(vd_disk_create(path, &create, &err), &err);
	return path;
}

static inline void end(struct bench *b)
{
	struct vd_error err = VD_ERROR_INIT;
	uint64_t n_errors = 0;

	b->is_armed = false;
	if (b->has_thread)
		pthread_join(b->thread, NULL);
	must(vd_disk_close(b->disk, &err), &err);
	vd_io_close(b->io);
	assert_int_equal(vd_disk_check_io(b->under, NULL, NULL, NULL, &n_errors, &err), 0);
	assert_int_equal(n_errors, 0);
	vd_io_close(b->under);
	store_free(b->store);
	free(b);
}

#endif
