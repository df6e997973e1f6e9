/* SPDX-License-Identifier: MIT */
/* Images for tests of queues, by kind, and a random life of requests that is held against a copy of
 * the disk in memory. */
#ifndef TEST_QUEUE_RIG_H
#define TEST_QUEUE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <vdisk/disk.h>
#include <vdisk/queue.h>
#include <vdisk/sys/io.h>

#include "scratch.h"
#include "stamp.h"

#define RIG_MIB  ((uint64_t)1 << 20)
#define RIG_SIZE (12 * RIG_MIB)

enum rig_kind {
	RIG_DYNAMIC,
	RIG_FIXED,
	RIG_CHILD, /* two parents, each with data of its own */
	RIG_RAW,
	RIG_SECTOR_4096,
	RIG_DIRECT,
	RIG_MEMORY,
	RIG_N_KINDS
};

static inline const char *rig_name(enum rig_kind kind)
{
	static const char *const names[] = {"dynamic", "fixed",  "child", "raw",
					    "4096",    "direct", "memory"};

	return names[kind];
}

static inline const char *rig_path(enum rig_kind kind)
{
	char name[64];

	snprintf(name, sizeof(name), "queue-%s.img", rig_name(kind));
	return scratch_path(name);
}

static inline void rig_make(const char *path, const struct vd_create_opts *opts)
{
	struct vd_error err = VD_ERROR_INIT;

	unlink(path);
	if (vd_disk_create(path, opts, &err))
		fail_msg("create %s: %s", path, err.text);
}

static inline struct vd_disk *rig_reopen(const char *path, uint32_t flags)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;

	opts.flags = flags;
	if (vd_disk_open(&disk, path, &opts, &err))
		fail_msg("open %s: %s", path, err.text);
	return disk;
}

static inline void rig_write_some(const char *path, uint64_t offset, uint64_t generation)
{
	struct vd_disk *disk = rig_reopen(path, VD_OPEN_WRITE);
	static uint8_t buf[64 << 10];

	stamp_fill(buf, sizeof(buf), offset, generation, 1);
	assert_int_equal(vd_disk_write(disk, buf, sizeof(buf), offset, NULL), 0);
	assert_int_equal(vd_disk_close(disk, NULL), 0);
}

static inline void rig_create(enum rig_kind kind)
{
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
	const char *base = scratch_path("queue-base.vhdx"),
		   *middle = scratch_path("queue-mid.vhdx");

	opts.virtual_size = RIG_SIZE;
	if (kind != RIG_RAW)
		opts.block_size = 1 << 20;
	opts.type = kind == RIG_FIXED ? VD_TYPE_FIXED : VD_TYPE_UNKNOWN;
	opts.format = kind == RIG_RAW ? VD_FORMAT_RAW : NULL;
	opts.logical_sector_size = kind == RIG_SECTOR_4096 ? 4096 : 0;
	if (kind == RIG_CHILD) {
		rig_make(base, &opts);
		rig_write_some(base, RIG_MIB - 32768, 1);
		rig_write_some(base, 5 * RIG_MIB, 2);
		opts.parent = base;
		rig_make(middle, &opts);
		rig_write_some(middle, 5 * RIG_MIB + 16384, 3);
		rig_write_some(middle, 9 * RIG_MIB, 4);
		opts.parent = middle;
	}
	rig_make(rig_path(kind), &opts);
}

static inline struct vd_disk *rig_open(enum rig_kind kind)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk;
	struct vd_io *io;

	if (kind != RIG_MEMORY) {
		rig_create(kind);
		return rig_reopen(rig_path(kind),
				  VD_OPEN_WRITE | (kind == RIG_DIRECT ? VD_OPEN_DIRECT : 0));
	}
	create.virtual_size = RIG_SIZE;
	create.block_size = 1 << 20;
	opts.flags = VD_OPEN_WRITE;
	assert_int_equal(vd_io_open_memory(&io, 0, NULL), 0);
	assert_int_equal(vd_disk_create_io(io, &create, NULL), 0);
	assert_int_equal(vd_disk_open_io(&disk, io, &opts, NULL), 0);
	vd_io_close(io);
	return disk;
}

static inline struct vd_queue *rig_queue(struct vd_disk *disk, enum vd_engine engine,
					 uint32_t depth, uint32_t n_threads)
{
	struct vd_queue_opts opts = VD_QUEUE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_queue *queue = NULL;

	opts.engine = engine;
	opts.depth = depth;
	opts.n_threads = n_threads;
	if (vd_queue_open(&queue, disk, &opts, &err))
		fail_msg("open a queue: %s", err.text);
	return queue;
}

/** Can this machine run io_uring? */
static inline bool rig_has_uring(void)
{
	struct vd_queue_opts opts = VD_QUEUE_OPTS_INIT;
	struct vd_disk *disk = rig_open(RIG_MEMORY);
	struct vd_queue *queue = NULL;
	int ret;

	opts.engine = VD_ENGINE_IO_URING;
	ret = vd_queue_open(&queue, disk, &opts, NULL);
	vd_queue_close(queue);
	vd_disk_close(disk, NULL);
	return !ret;
}

/** The engine that this half of the tests is about, or a skip. */
static inline void rig_need(enum vd_engine engine)
{
	if (engine == VD_ENGINE_IO_URING && !rig_has_uring())
		skip();
}

/** Submit, which has to work. */
static inline void rig_submit(struct vd_queue *queue, struct vd_request request)
{
	struct vd_error err = VD_ERROR_INIT;

	if (vd_queue_submit(queue, &request, &err))
		fail_msg("submit: %s", err.text);
}

static inline struct vd_request rig_request(enum vd_request_op op, void *buf, uint64_t length,
					    uint64_t offset, void *user)
{
	struct vd_request request = VD_REQUEST_INIT;

	request.op = op;
	request.buf = buf;
	request.length = length;
	request.offset = offset;
	request.user = user;
	return request;
}

/** One request from its beginning to its end; its result, and its error's text in text. */
static inline int rig_one(struct vd_queue *queue, struct vd_request request, char *text,
			  size_t size)
{
	struct vd_completion completion = {NULL, 1, NULL};

	rig_submit(queue, request);
	assert_int_equal(vd_queue_reap(queue, &completion, 1, 1, 20000), 1);
	assert_ptr_equal(completion.user, request.user);
	assert_int_equal(completion.result != 0, completion.err != NULL);
	if (completion.err)
		assert_int_equal(completion.err->code, completion.result);
	if (text)
		snprintf(text, size, "%s", completion.err ? completion.err->text : "");
	return completion.result;
}

static inline int rig_read(struct vd_queue *queue, void *buf, uint64_t length, uint64_t offset)
{
	return rig_one(queue, rig_request(VD_REQUEST_READ, buf, length, offset, buf), NULL, 0);
}

static inline int rig_write(struct vd_queue *queue, void *buf, uint64_t length, uint64_t offset)
{
	return rig_one(queue, rig_request(VD_REQUEST_WRITE, buf, length, offset, buf), NULL, 0);
}

static inline int rig_flush(struct vd_queue *queue)
{
	return rig_one(queue, rig_request(VD_REQUEST_FLUSH, NULL, 0, 0, NULL), NULL, 0);
}

#endif
