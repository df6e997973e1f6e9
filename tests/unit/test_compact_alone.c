/* SPDX-License-Identifier: MIT */
/* A compaction that has the disk to itself commits several moves at a time, within its bound of
 * extra space. */
#include "compact_rig.h"

#include <vdisk/sys/io.h>

#define N_BLOCKS 64
#define LOG      (8 * MIB)

struct watched {
	struct vd_disk *disk;
	uint64_t before, most; /* held by the host */
};

/* Called before each move. */
static int look(void *user, const struct vd_compact_progress *progress)
{
	struct watched *watched = user;
	struct vd_space_info info = {.size = sizeof(info)};

	(void)progress;
	must(vd_disk_get_space(watched->disk, &info, &err));
	assert_int_equal(info.log_size, LOG);
	if (!watched->before)
		watched->before = info.allocated;
	if (info.allocated > watched->most)
		watched->most = info.allocated;
	return 0;
}

static uint64_t count_syncs(struct vd_disk *disk)
{
	struct vd_disk_stats stats = {.size = sizeof(stats)};

	vd_disk_get_stats(disk, &stats);
	return stats.n_syncs;
}

/* In memory, which tells what it holds: the first half is free, the second has to move. */
static void make_half_free(struct image *image)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;

	image->model = model_new(N_BLOCKS * MIB, 5);
	must(vd_io_open_memory(&image->io, 0, &err));
	create.virtual_size = N_BLOCKS * MIB;
	create.block_size = (uint32_t)MIB;
	create.log_size = (uint32_t)LOG;
	must(vd_disk_create_io(image->io, &create, &err));
	image->disk = scratch_open_io(image->io, VD_OPEN_WRITE);
	for (uint64_t i = 0; i < N_BLOCKS; i++)
		put(image, i * MIB, MIB, (uint32_t)i + 1);
	discard(image, 0, N_BLOCKS / 2 * MIB);
	must(vd_disk_flush(image->disk, &err));
}

/* Compact it. Returns the syncs that it took. */
static uint64_t run(uint32_t flags, struct watched *watched)
{
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct vd_compact_result result = {.size = sizeof(result)};
	char text[800];
	struct image image;
	uint64_t n_syncs;

	make_half_free(&image);
	*watched = (struct watched){.disk = image.disk};
	opts.flags = flags;
	opts.progress = look;
	opts.user = watched;
	n_syncs = count_syncs(image.disk);
	must(vd_compact(image.disk, &opts, &result, &err));
	n_syncs = count_syncs(image.disk) - n_syncs;
	assert_int_equal(result.n_moves, N_BLOCKS / 2);
	assert_int_equal(result.bytes_copied, N_BLOCKS / 2 * MIB);
	assert_true(result.is_complete);
	if (!model_check_disk(image.model, MODEL_LIVE, image.disk, text, sizeof(text)))
		fail_msg("%s", text);
	must(vd_disk_close(image.disk, &err));
	vd_io_close(image.io);
	model_free(image.model);
	return n_syncs;
}

static void beside_guests_each_copy_is_committed(void **state)
{
	struct watched watched;

	(void)state;
	assert_true(run(0, &watched) >= (uint64_t)N_BLOCKS / 2 * 2);
	/* Between two moves no block is there twice; the log has grown. */
	assert_true(watched.most - watched.before < MIB);
}

static void alone_several_are_committed_at_once(void **state)
{
	struct watched watched;

	(void)state;
	assert_true(run(VD_COMPACT_ALONE, &watched) <= (uint64_t)N_BLOCKS / 2);
	/* The next one comes on top of that: a block and the log in all. */
	assert_true(watched.most - watched.before >= 4 * MIB);
	assert_true(watched.most - watched.before <= LOG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(beside_guests_each_copy_is_committed),
	    cmocka_unit_test(alone_several_are_committed_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
