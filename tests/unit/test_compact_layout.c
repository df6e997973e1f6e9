/* SPDX-License-Identifier: MIT */
/*
 * A compaction by a list of what is in use: random disks, lists and later writes against a model;
 * lists that are stale or make no sense; that a dry run tells what comes.
 */
#include "compact_rig.h"

#define SECTOR     512u
#define N_EXTENTS  24u
#define N_BLOCKS   40u
#define N_LATER    6u
#define BLOCKS_ALL (DISK / MIB + 1)

static uint64_t random_state;

static uint64_t any(uint64_t n)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (random_state >> 33) % n;
}

struct list {
	struct vd_compact_extent extents[N_EXTENTS];
	size_t n;
};

/* Some of whole blocks, some of a few sectors, gaps of both kinds between them. */
static struct list make_list(void)
{
	struct list list = {.n = 0};
	uint64_t at = 0;

	while (list.n < N_EXTENTS) {
		uint64_t unit = any(2) ? MIB : SECTOR;
		uint64_t start = (at + any(4) * MIB) / unit * unit + any(20) * SECTOR;
		uint64_t length = (any(3) + 1) * unit;

		start = start < at ? at : start;
		if (start >= DISK)
			break;
		length = length < DISK - start ? length : DISK - start;
		list.extents[list.n++] = (struct vd_compact_extent){start, length};
		at = start + length;
	}
	return list;
}

static void write_counted(struct image *image, struct vd_generation *g, uint64_t offset, size_t len,
			  uint32_t stamp)
{
	if (g)
		vd_generation_write_begin(g, offset, len);
	put(image, offset, len, stamp);
	if (g)
		vd_generation_write_end(g, offset, len);
}

/* What the disk may hold once all between the extents is dropped. Returns the blocks that go. */
static uint64_t expect_dropped(struct image *image, const struct list *list, const bool *is_stored,
			       const bool *is_written)
{
	uint64_t at = 0, n = 0;

	for (size_t i = 0; i <= list->n; i++) {
		uint64_t end = i < list->n ? list->extents[i].start : DISK;

		while (at < end) {
			uint64_t block = at / MIB, next = (block + 1) * MIB;
			uint64_t limit = next < DISK ? next : DISK;
			bool is_whole = at == block * MIB && end >= limit;

			next = next < end ? next : end;
			if (is_written[block] || !is_stored[block])
				;
			else if (is_whole)
				model_write(image->model, at, next - at, 0);
			else
				model_unsure(image->model, at, next - at, 0);
			n += is_whole && is_stored[block] && !is_written[block];
			at = next;
		}
		at = i < list->n ? end + list->extents[i].length : at;
	}
	return n;
}

/* Close it and look: what a guest can read has changed, or hasn't. */
static void end_with(struct image *image, bool has_new_id)
{
	uint8_t before[16];

	memcpy(before, image->id, 16);
	must(vd_disk_close(image->disk, &err));
	vd_io_close(image->io);
	open_image(image);
	assert_int_equal(memcmp(before, image->id, 16) != 0, has_new_id);
	drop_image(image);
}

static void one_disk(uint64_t seed, bool is_online)
{
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct vd_compact_result told = {.size = sizeof(told)}, done = told;
	bool is_stored[BLOCKS_ALL] = {false}, is_written[BLOCKS_ALL] = {false};
	struct vd_generation *g = NULL;
	struct image image;
	struct list list;
	uint64_t n;

	random_state = seed;
	make(&image, VD_TYPE_DYNAMIC, NULL, model_new(DISK, 5));
	for (uint32_t i = 0; i < N_BLOCKS; i++) {
		uint64_t block = any(DISK / MIB);

		put(&image, block * MIB + any(200) * SECTOR, (1 + any(1500)) * SECTOR, i + 1);
		is_stored[block] = true;
	}
	must(vd_disk_close(image.disk, &err));
	vd_io_close(image.io);
	open_image(&image);
	if (is_online) {
		must(vd_generation_new(&g, image.disk, &err));
		must(vd_generation_begin(g, opts.generation_id, &err));
	}
	list = make_list();
	for (uint32_t i = 0; i < N_LATER && is_online; i++) {
		uint64_t block = any(DISK / MIB);

		write_counted(&image, g, block * MIB + any(2000) * SECTOR, SECTOR, 100 + i);
		is_stored[block] = is_written[block] = true;
	}
	n = expect_dropped(&image, &list, is_stored, is_written);
	opts.in_use = list.extents;
	opts.n_in_use = list.n;
	opts.generation = g;
	opts.flags = VD_COMPACT_LAYOUT | VD_COMPACT_DRY_RUN;
	must(vd_compact(image.disk, &opts, &told, &err));
	opts.flags = VD_COMPACT_LAYOUT;
	must(vd_compact(image.disk, &opts, &done, &err));
	assert_int_equal(done.freed_guest, n * MIB);
	assert_int_equal(told.freed_guest, done.freed_guest);
	assert_int_equal(told.file_after, done.file_after);
	assert_int_equal(done.n_deferred, 0);
	vd_generation_free(g);
	end_with(&image, true);
}

static void what_isnt_in_use_goes_and_nothing_else(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 24; seed++)
		one_disk(seed * 7919, false);
}

static void what_was_written_after_the_list_stays(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 24; seed++)
		one_disk(seed * 104729, true);
}

static void another_generation_is_refused(void **state)
{
	struct vd_compact_extent first = {0, MIB};
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct vd_generation *g;
	struct image image;
	uint8_t id[16];
	uint64_t hash;

	(void)state;
	make_used(&image);
	hash = store_hash(image.store);
	must(vd_generation_new(&g, image.disk, &err));
	opts.flags = VD_COMPACT_LAYOUT;
	opts.in_use = &first;
	opts.n_in_use = 1;
	opts.generation = g;
	/* None has begun: not even all zero is its name. */
	assert_false(vd_generation_is(g, opts.generation_id));
	assert_int_equal(vd_compact(image.disk, &opts, NULL, &err), VD_EBUSY);
	must(vd_generation_begin(g, opts.generation_id, &err));
	assert_true(vd_generation_is(g, opts.generation_id));
	must(vd_generation_begin(g, id, &err));
	assert_int_equal(vd_compact(image.disk, &opts, NULL, &err), VD_EBUSY);
	assert_int_equal(store_hash(image.store), hash);
	vd_generation_free(g);
	drop_image(&image);
}

/* A new generation forgets what was written: the compaction under way may not go on. */
struct meddler {
	struct vd_generation *g;
	unsigned n;
};
static int begin_another(void *user, const struct vd_compact_progress *progress)
{
	struct meddler *m = user;
	uint8_t id[16];

	if (!strcmp(progress->phase, "free") && ++m->n == 5)
		must(vd_generation_begin(m->g, id, &err));
	return 0;
}

static void a_new_generation_ends_it(void **state)
{
	struct vd_compact_extent last = {DISK - SECTOR, SECTOR};
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct vd_compact_result result = {.size = sizeof(result)};
	struct meddler m = {.n = 0};
	struct image image;

	(void)state;
	make_used(&image);
	must(vd_generation_new(&m.g, image.disk, &err));
	must(vd_generation_begin(m.g, opts.generation_id, &err));
	opts.flags = VD_COMPACT_LAYOUT;
	opts.in_use = &last;
	opts.n_in_use = 1;
	opts.generation = m.g;
	opts.progress = begin_another;
	opts.user = &m;
	assert_int_equal(vd_compact(image.disk, &opts, &result, &err), VD_EBUSY);
	assert_int_equal(result.freed_guest, 5 * MIB);
	for (uint64_t i = 0, n = 0; n < 5; i++)
		if (i % 3 != 0) { /* as fill() left them */
			model_write(image.model, i * MIB, MIB, 0);
			n++;
		}
	vd_generation_free(m.g);
	end_with(&image, true);
}

static void lists_without_sense_are_refused(void **state)
{
	static const struct vd_compact_extent wrong[][2] = {
	    {{0, 0}, {MIB, MIB}},
	    {{0, MIB}, {MIB - SECTOR, MIB}},
	    {{MIB, MIB}, {0, MIB}},
	    {{0, MIB}, {DISK, SECTOR}},
	    {{0, MIB}, {DISK - SECTOR, MIB}},
	    {{0, MIB}, {SECTOR * 4096, UINT64_MAX - SECTOR}},
	    {{0, MIB}, {UINT64_MAX, UINT64_MAX}}};
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct image image;
	uint64_t hash;

	(void)state;
	make_used(&image);
	hash = store_hash(image.store);
	opts.flags = VD_COMPACT_LAYOUT;
	assert_int_equal(vd_compact(image.disk, &opts, NULL, &err), VD_EINVAL);
	opts.n_in_use = 2;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		opts.in_use = wrong[i];
		assert_int_equal(vd_compact(image.disk, &opts, NULL, &err), VD_EINVAL);
		assert_non_null(strstr(err.text, "extent"));
	}
	opts.flags |= VD_COMPACT_FREE_SPACE;
	assert_int_equal(vd_compact(image.disk, &opts, NULL, &err), VD_EINVAL);
	assert_int_equal(store_hash(image.store), hash);
	drop_image(&image);
}

/* What a child drops reads as zero, never as what its parent has there. */
static void a_child_shows_nothing_of_its_parent(void **state)
{
	struct vd_compact_extent first = {0, MIB};
	struct model *model = model_new(CHILD, 5);
	const char *parent = make_parent(model);
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct image image;

	(void)state;
	make(&image, VD_TYPE_DIFFERENCING, parent, model);
	for (uint64_t i = 0; i < 4; i++)
		put(&image, i * MIB, MIB, (uint32_t)i + 200);
	must(vd_disk_close(image.disk, &err));
	vd_io_close(image.io);
	open_image(&image);
	opts.flags = VD_COMPACT_LAYOUT;
	opts.in_use = &first;
	opts.n_in_use = 1;
	must(vd_compact(image.disk, &opts, NULL, &err));
	/* The rest of what the parent has isn't stored here: nothing could be gained by it. */
	model_write(image.model, MIB, 3 * MIB, 0);
	end_with(&image, true);
}

static void known_children_keep_it_from_being_done(void **state)
{
	struct vd_compact_extent first = {0, MIB};
	struct model *model = model_new(CHILD, 5);
	const char *parent = make_parent(model), *child = scratch_path("knows.vhdx");
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts open = VD_OPEN_OPTS_INIT;
	struct vd_compact_opts opts = VD_COMPACT_OPTS_INIT;
	struct vd_disk *disk = NULL;

	(void)state;
	unlink(child);
	create.type = VD_TYPE_DIFFERENCING;
	create.parent = parent;
	must(vd_disk_create(child, &create, &err));
	open.flags = VD_OPEN_WRITE;
	must(vd_disk_open(&disk, parent, &open, &err));
	opts.flags = VD_COMPACT_LAYOUT;
	opts.in_use = &first;
	opts.n_in_use = 1;
	assert_int_equal(vd_compact(disk, &opts, NULL, &err), VD_EDENIED);
	assert_non_null(strstr(err.text, "knows.vhdx"));
	must(vd_disk_close(disk, &err));
	unlink(child);
	model_free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_isnt_in_use_goes_and_nothing_else),
	    cmocka_unit_test(what_was_written_after_the_list_stays),
	    cmocka_unit_test(another_generation_is_refused),
	    cmocka_unit_test(a_new_generation_ends_it),
	    cmocka_unit_test(lists_without_sense_are_refused),
	    cmocka_unit_test(a_child_shows_nothing_of_its_parent),
	    cmocka_unit_test(known_children_keep_it_from_being_done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
