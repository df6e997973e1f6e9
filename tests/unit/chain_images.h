/* SPDX-License-Identifier: MIT */
/* Images for tests of chains, in a folder of the test's own: honest ones, and such as say of
 * their parent whatever we like. */
#ifndef TEST_CHAIN_IMAGES_H
#define TEST_CHAIN_IMAGES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "format/formats.h"
#include "scratch.h"

#define SIZE ((uint64_t)8 << 20)

/* The path of an image in the folder of this test; good for the next 8 calls. */
static inline const char *at(const char *name)
{
	static char paths[8][4096];
	static int next;
	char *own = paths[next++ % 8];

	snprintf(own, sizeof(paths[0]), "%s/c/%s", scratch_dir(), name);
	return own;
}

static inline int start_clean(void **state)
{
	(void)state;
	scratch_run("rm -rf '%s/c' && mkdir -p '%s' '%s'", scratch_dir(), at("up"), at("other"));
	return 0;
}

/* By the front door. */
static inline void create(const char *name, const char *parent, uint64_t size)
{
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;

	opts.virtual_size = size;
	opts.block_size = 1 << 20;
	opts.parent = parent ? at(parent) : NULL;
	if (vd_disk_create(at(name), &opts, &err))
		fail_msg("create %s: %s", name, err.text);
}

static inline void read_id(const char *name, uint8_t id[16])
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk_info info = {.size = sizeof(info)};
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk;

	opts.flags = VD_OPEN_NO_PARENTS;
	if (vd_disk_open(&disk, at(name), &opts, &err))
		fail_msg("open %s: %s", name, err.text);
	vd_disk_get_info(disk, &info);
	memcpy(id, info.data_write_id, 16);
	vd_disk_close(disk, NULL);
}

/* An image that says what we like of its parent. linkage: the image whose id it names, or NULL. */
static inline void craft(const char *name, const char *relative, const char *absolute,
			 const char *linkage)
{
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
	struct vd_format_parent parent = {.virtual_size = SIZE,
					  .logical_sector_size = 512,
					  .physical_sector_size = 4096,
					  .block_size = 1 << 20,
					  .data_write_id = {1},
					  .relative_path = relative,
					  .absolute_path = absolute};
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io;

	opts.format = "vhdx";
	opts.type = VD_TYPE_DIFFERENCING;
	opts.virtual_size = SIZE;
	opts.block_size = 1 << 20;
	opts.logical_sector_size = 512;
	opts.physical_sector_size = 4096;
	opts.log_size = 1 << 20;
	if (linkage)
		read_id(linkage, parent.data_write_id);
	unlink(at(name));
	assert_int_equal(vd_io_open_file(&io, at(name), VD_IO_CREATE, NULL), 0);
	if (vhdx_format_ops.create(io, &opts, &parent, &err))
		fail_msg("craft %s: %s", name, err.text);
	vd_io_close(io);
}

static inline struct vd_disk *open_ok(const char *name, uint32_t flags, const char *root)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	const char *roots[1] = {root ? at(root) : NULL};
	struct vd_disk *disk = NULL;

	opts.flags = flags;
	opts.parent_roots = roots;
	opts.n_parent_roots = root ? 1 : 0;
	if (vd_disk_open(&disk, at(name), &opts, &err))
		fail_msg("open %s: %s", name, err.text);
	return disk;
}

static inline void write_at(const char *name, const char *root, char c, size_t len, uint64_t offset)
{
	struct vd_disk *disk = open_ok(name, VD_OPEN_WRITE, root);
	struct vd_error err = VD_ERROR_INIT;
	char *bytes = malloc(len);

	memset(bytes, c, len);
	if (vd_disk_write(disk, bytes, len, offset, &err))
		fail_msg("write %s: %s", name, err.text);
	free(bytes);
	if (vd_disk_close(disk, &err))
		fail_msg("close %s: %s", name, err.text);
}

/* Opening fails with this code, and the text has these words. */
static inline void refuses(const char *name, const char *root, int code, const char *words,
			   const char *more)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	const char *roots[1] = {root};
	struct vd_disk *disk;
	int ret;

	opts.parent_roots = roots;
	opts.n_parent_roots = root ? 1 : 0;
	ret = vd_disk_open(&disk, at(name), &opts, &err);
	if (ret != code || !strstr(err.text, words) || !strstr(err.text, more))
		fail_msg("opening %s gave %d: %s\n(expected %d, \"%s\" and \"%s\")", name, ret,
			 err.text, code, words, more);
}

static inline char byte_at(struct vd_disk *disk, uint64_t offset)
{
	struct vd_error err = VD_ERROR_INIT;
	char c = '?';

	if (vd_disk_read(disk, &c, 1, offset, &err))
		fail_msg("read at %llu: %s", (unsigned long long)offset, err.text);
	return c;
}

#define TEST(name) cmocka_unit_test_setup(name, start_clean)

#endif
