/* SPDX-License-Identifier: MIT */
/*
 * Threads that change and read user metadata items, and let their region grow, beside others that
 * write, discard, read and flush payload, on one handle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/disk.h>
#include <vdisk/item.h>

#include "itemset.h"
#include "stamp.h"
#include "store.h"

#define KIB       1024u
#define MIB       ((uint64_t)1 << 20)
#define SEED      71u
#define N_CHANGER 3u
#define N_WRITER  2u
#define N_READER  1u
#define N_ROUNDS  60u
#define N_OWN     4u /* items of each changer */

static struct vd_disk *disk;
static _Atomic bool is_over;
static _Atomic uint64_t n_wrong;

static void note(const char *what, const char *text)
{
	atomic_fetch_add(&n_wrong, 1);
	fprintf(stderr, "%s: %s\n", what, text);
}

/* Its own items, all in one change; they get larger, so that the region has to grow. */
static void *change(void *arg)
{
	uint32_t base = (uint32_t)(uintptr_t)arg * 100;
	struct itemset_one ones[N_OWN];

	for (uint32_t round = 1; round <= N_ROUNDS; round++) {
		struct vd_item_change changes[N_OWN + 1] = {itemset_remove(99)};
		struct vd_error err = VD_ERROR_INIT;

		for (uint32_t i = 0; i < N_OWN; i++) {
			ones[i] = (struct itemset_one){base + i, VD_ITEM_USER,
						       round * (i + 1) * 2500, round};
			changes[1 + i] = itemset_put(&ones[i]);
		}
		if (vd_disk_change_items(disk, changes, N_OWN + 1, &err) < 0)
			note("change", err.text);
		for (uint32_t i = 0; i < N_OWN; i++) {
			uint8_t id[16], got[100], wanted[100];

			itemset_id(base + i, id);
			itemset_content(wanted, 100, 700, base + i, round);
			if (vd_disk_read_item(disk, id, got, 100, 700, &err) < 0)
				note("read", err.text);
			else if (memcmp(got, wanted, 100) != 0)
				note("read", "another content than was written");
		}
	}
	return NULL;
}

/* Each item that is listed reads as a whole: one generation, none of the bytes of another. */
static void *look(void *arg)
{
	uint8_t *got = malloc(VD_ITEM_MAX), *wanted = malloc(VD_ITEM_MAX);

	(void)arg;
	while (!atomic_load(&is_over)) {
		struct vd_error err = VD_ERROR_INIT;
		struct vd_item *items;
		size_t n;

		if (vd_disk_list_items(disk, &items, &n, &err) < 0) {
			note("list", err.text);
			continue;
		}
		for (size_t i = 0; i < n; i++) {
			uint32_t name = (uint32_t)items[i].id[14] << 8 | items[i].id[15];
			uint32_t part = name % 100 + 1, len = part * 2500;
			int rc = vd_disk_read_item(disk, items[i].id, got, len, 0, &err);
			bool is_one = false;

			if (rc < 0)
				note("look", err.text);
			for (uint32_t round = 1; rc >= 0 && round <= N_ROUNDS && !is_one; round++) {
				itemset_content(wanted, 8, 0, name, round);
				if (memcmp(wanted, got, 8) != 0)
					continue;
				itemset_content(wanted, len, 0, name, round);
				is_one = !memcmp(wanted, got, len);
			}
			if (rc >= 0 && !is_one)
				note("look", "an item that nobody has written");
		}
		vd_items_free(items);
	}
	free(got);
	free(wanted);
	return NULL;
}

static void *write_payload(void *arg)
{
	uint64_t mine = (uint64_t)(uintptr_t)arg * 30 * MIB, generation = 1, random = mine + 1;
	uint8_t *buf = malloc(64 * KIB), *got = malloc(64 * KIB);

	while (!atomic_load(&is_over)) {
		uint64_t at = mine + rnd_below(&random, 29 * 16) * 64 * KIB;
		struct vd_error err = VD_ERROR_INIT;

		stamp_fill(buf, 64 * KIB, at, ++generation, SEED);
		if (vd_disk_write(disk, buf, 64 * KIB, at, &err) < 0 ||
		    vd_disk_read(disk, got, 64 * KIB, at, &err) < 0)
			note("payload", err.text);
		else if (memcmp(got, buf, 64 * KIB) != 0)
			note("payload", "reads as something else than was written");
		if (generation % 5 == 0 && vd_disk_flush(disk, &err) < 0)
			note("flush", err.text);
		if (generation % 7 == 0 && vd_disk_discard(disk, at / MIB * MIB, MIB, &err) < 0)
			note("discard", err.text);
	}
	free(buf);
	free(got);
	return NULL;
}

static struct vd_disk *open_store(struct store *store, uint32_t flags)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *io = store_io(store, flags != 0);
	struct vd_disk *out = NULL;

	opts.flags = flags;
	if (vd_disk_open_io(&out, io, &opts, &err) < 0)
		fail_msg("open: %s", err.text);
	vd_io_close(io);
	return out;
}

static void threads_change_items_beside_payload(void **state)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct store *store = store_new(NULL);
	struct vd_io *io = store_io(store, true);
	pthread_t threads[N_CHANGER + N_WRITER + N_READER];
	unsigned n = 0;
	uint64_t n_errors = 1;

	(void)state;
	create.virtual_size = 64 * MIB;
	create.block_size = (uint32_t)MIB;
	create.log_size = (uint32_t)MIB;
	assert_int_equal(vd_disk_create_io(io, &create, &err), 0);
	disk = open_store(store, VD_OPEN_WRITE);
	for (uintptr_t i = 0; i < N_CHANGER; i++)
		pthread_create(&threads[n++], NULL, change, (void *)(i + 1));
	for (uintptr_t i = 0; i < N_WRITER; i++)
		pthread_create(&threads[n++], NULL, write_payload, (void *)i);
	for (uintptr_t i = 0; i < N_READER; i++)
		pthread_create(&threads[n++], NULL, look, NULL);
	for (unsigned i = 0; i < n; i++) {
		if (i == N_CHANGER)
			atomic_store(&is_over, true);
		pthread_join(threads[i], NULL);
	}
	assert_int_equal(n_wrong, 0);
	if (vd_disk_close(disk, &err) < 0)
		fail_msg("close: %s", err.text);
	assert_int_equal(vd_disk_check_io(io, NULL, NULL, NULL, &n_errors, &err), 0);
	assert_int_equal(n_errors, 0);
	vd_io_close(io);
	disk = open_store(store, 0);
	for (uint32_t name = 100; name < 100 * (N_CHANGER + 1); name += 100) {
		uint32_t len = N_ROUNDS * N_OWN * 2500;
		uint8_t id[16], *got = malloc(2 * (size_t)len);

		itemset_id(name + N_OWN - 1, id);
		assert_int_equal(vd_disk_read_item(disk, id, got, len, 0, &err), 0);
		itemset_content(got + len, len, 0, name + N_OWN - 1, N_ROUNDS);
		assert_memory_equal(got, got + len, len);
		free(got);
	}
	assert_int_equal(vd_disk_close(disk, NULL), 0);
	store_free(store);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(threads_change_items_beside_payload),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests_name("items and threads", tests, NULL, NULL);
}
