/* SPDX-License-Identifier: MIT */
/* A check during which somebody writes, without locks, says so: whenever that is, whatever it is.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#include <vdisk/disk.h>
#include <vdisk/sys/io.h>

#include "vhdxgen.h"

/* A store that another program changes at its n-th read. */
struct moving {
	struct store *store;
	uint64_t n_reads, at_read;
	void (*change)(struct store *store);
};

static ssize_t moving_read(void *state, void *buf, size_t len, uint64_t offset)
{
	struct moving *m = state;
	uint64_t length = store_length(m->store);

	if (++m->n_reads == m->at_read)
		m->change(m->store);
	if (offset >= length)
		return 0;
	len = len < length - offset ? len : (size_t)(length - offset);
	store_read(m->store, buf, len, offset);
	return (ssize_t)len;
}

static int moving_length(void *state, uint64_t *length)
{
	*length = store_length(((struct moving *)state)->store);
	return 0;
}

/* A check writes nothing. */
static ssize_t moving_write(void *state, const void *buf, size_t len, uint64_t offset)
{
	(void)state, (void)buf, (void)len, (void)offset;
	fail();
	return -EROFS;
}

static int moving_sync(void *state)
{
	(void)state;
	fail();
	return -EROFS;
}

static int moving_truncate(void *state, uint64_t length)
{
	(void)state, (void)length;
	fail();
	return -EROFS;
}

static void moving_close(void *state)
{
	(void)state;
}

static const struct vd_io_ops moving_ops = {
    .size = sizeof(struct vd_io_ops),
    .read = moving_read,
    .write = moving_write,
    .sync = moving_sync,
    .truncate = moving_truncate,
    .length = moving_length,
    .close = moving_close,
};

static void count_finding(void *user, const struct vd_finding *finding)
{
	*(int *)user += finding->severity == VD_FINDING_ERROR;
}

/* Check a small image; `change` happens at its n-th read. *n_errors: findings that were told. */
static int check(void (*change)(struct store *), uint64_t at_read, bool is_wrong, uint64_t *n_reads,
		 int *n_errors, struct vd_error *err)
{
	struct moving m = {.store = store_new(NULL), .at_read = at_read, .change = change};
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vhdxgen g;
	struct vd_io *io;
	int rc;

	vhdxgen_init(&g);
	if (is_wrong)
		g.bat[0].entry = g.bat[1].entry;
	vhdxgen_emit(&g, m.store);
	opts.format = VD_FORMAT_VHDX;
	opts.flags = VD_OPEN_NO_PARENTS; /* nothing is read behind the format's check */
	*n_errors = 0;
	assert_int_equal(vd_io_open_ops(&io, &moving_ops, &m, "moving", false, err), 0);
	rc = vd_disk_check_io(io, &opts, count_finding, n_errors, NULL, err);
	vd_io_close(io);
	store_free(m.store);
	*n_reads = m.n_reads;
	return rc;
}

static void a_still_image_is_judged(void **state)
{
	struct vd_error err = VD_ERROR_INIT;
	uint64_t n_reads;
	int n_errors;

	(void)state;
	assert_int_equal(check(NULL, 0, false, &n_reads, &n_errors, &err), 0);
	assert_int_equal(n_errors, 0);
	assert_int_equal(check(NULL, 0, true, &n_reads, &n_errors, &err), 0);
	assert_int_equal(n_errors, 1);
}

static void grow(struct store *store)
{
	store_truncate(store, store_length(store) + GEN_MIB);
}

static void tear_header(struct store *store)
{
	store_write(store, "torn", 4, 131072 + 2000);
}

static void tear_regions(struct store *store)
{
	store_write(store, "torn", 4, 262144 + 20);
}

static void log_something(struct store *store)
{
	store_write(store, "loge", 4, GEN_MIB + 40960);
}

/* The BAT changes and, as with every writer, the file grows or the log has it. */
static void move_block(struct store *store)
{
	store_write(store, "\x06\0\x70\0\0\0\0\0", 8, 3 * GEN_MIB);
	grow(store);
}

/* Whichever read it is of those between the two looks at what is compared. */
static void changes_are_told_as_such(void **state)
{
	void (*const changes[])(struct store *) = {grow, tear_header, tear_regions, log_something,
						   move_block};
	struct vd_error err = VD_ERROR_INIT;
	/* Reads: the head of the file; headers as a whole, signature, each header, log. */
	enum { N_PROBE = 1, N_LOOK = 5 };
	uint64_t n_all, n_reads;
	int n_errors;

	(void)state;
	assert_int_equal(check(NULL, 0, false, &n_all, &n_errors, &err), 0);
	assert_true(n_all >= N_PROBE + 2 * N_LOOK + 5);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		for (uint64_t at = N_PROBE + N_LOOK + 1; at <= n_all - N_LOOK; at++)
			for (int is_wrong = 0; is_wrong < 2; is_wrong++) {
				int rc = check(changes[i], at, is_wrong, &n_reads, &n_errors, &err);

				if (rc != VD_EBUSY)
					fail_msg("change %zu at read %d of %d: %d", i, (int)at,
						 (int)n_all, rc);
				assert_non_null(strstr(err.text, "changed while it was checked"));
				assert_int_equal(n_errors, 0);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_still_image_is_judged),
	    cmocka_unit_test(changes_are_told_as_such),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
