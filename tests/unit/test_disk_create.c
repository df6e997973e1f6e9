/* SPDX-License-Identifier: MIT */
/* Making children, checking chains, and both without memory. */
#include "chain_images.h"
#include "fault.h"

static char last_message[512];

static void keep_message(void *user, enum vd_message_level level, const char *text)
{
	(void)user;
	if (level == VD_MESSAGE_WARNING)
		snprintf(last_message, sizeof(last_message), "%s", text);
}

static void creating_tells_of_a_root_that_will_be_needed(void **state)
{
	struct vd_parent_hint hint;
	struct vd_disk *disk;

	(void)state;
	vd_set_message_hook(keep_message, NULL);
	last_message[0] = '\0';
	create("a.vhdx", NULL, SIZE);
	create("b.vhdx", "a.vhdx", 0);
	assert_string_equal(last_message, "");
	create("up/c.vhdx", "b.vhdx", 0);
	assert_non_null(strstr(last_message, "will need --parent-root /"));
	vd_set_message_hook(NULL, NULL);
	disk = open_ok("up/c.vhdx", 0, ".");
	assert_int_equal(vd_disk_get_parent_hint(disk, &hint, NULL), 0);
	assert_string_equal(hint.relative_path, "..\\b.vhdx");
	assert_int_equal(vd_disk_get_parent_hint(vd_disk_parent(vd_disk_parent(disk)), &hint, NULL),
			 VD_ENOENT);
	vd_disk_close(disk, NULL);
}

static void creating_refuses_what_does_not_fit_the_parent(void **state)
{
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;

	(void)state;
	create("a.vhdx", NULL, SIZE);
	opts.parent = at("a.vhdx");
	opts.logical_sector_size = 4096;
	assert_int_equal(vd_disk_create(at("b.vhdx"), &opts, &err), VD_EINVAL);
	assert_non_null(strstr(err.text, "they must be equal"));
	opts.logical_sector_size = 0;
	opts.type = VD_TYPE_FIXED;
	assert_int_equal(vd_disk_create(at("b.vhdx"), &opts, &err), VD_EINVAL);
	opts.type = VD_TYPE_UNKNOWN;
	opts.parent = at("none.vhdx");
	assert_int_equal(vd_disk_create(at("b.vhdx"), &opts, &err), VD_ENOENT);
	assert_non_null(strstr(err.text, "none.vhdx"));
	opts.parent = NULL;
	assert_int_equal(vd_disk_create(at("b.vhdx"), &opts, &err), VD_EINVAL);
	opts.virtual_size = SIZE;
	opts.block_size = 3 << 20;
	assert_int_equal(vd_disk_create(at("b.vhdx"), &opts, &err), VD_EINVAL);
	assert_non_null(strstr(err.text, "power of two"));
	assert_int_equal(access(at("b.vhdx"), F_OK), -1);
}

static struct vd_finding seen;
static char seen_text[600];

static void see(void *user, const struct vd_finding *finding)
{
	(void)user;
	seen = *finding;
	snprintf(seen_text, sizeof(seen_text), "%s", finding->found);
}

static void a_check_looks_at_the_chain(void **state)
{
	uint64_t n_errors = 99;

	(void)state;
	create("a.vhdx", NULL, SIZE);
	create("b.vhdx", "a.vhdx", 0);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(vd_disk_check(at("b.vhdx"), NULL, see, NULL, &n_errors, NULL), 0);
	assert_int_equal(n_errors, 0);
	write_at("a.vhdx", NULL, 'x', 512, 0);
	assert_int_equal(vd_disk_check(at("b.vhdx"), NULL, see, NULL, &n_errors, NULL), 0);
	assert_int_equal(n_errors, 1);
	assert_string_equal(seen.rule, "parent-match");
	unlink(at("a.vhdx"));
	assert_int_equal(vd_disk_check(at("b.vhdx"), NULL, see, NULL, &n_errors, NULL), 0);
	assert_int_equal(n_errors, 0);
	assert_string_equal(seen.rule, "parent-open");
	assert_non_null(strstr(seen_text, "a.vhdx"));
}

static void no_memory_leaves_nothing_behind(void **state)
{
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	uint64_t n_points = 0, nth;
	struct vd_disk *disk;
	char parent[4096];
	size_t n_before;
	int ret = 0;

	(void)state;
	create("a.vhdx", NULL, SIZE);
	create("b.vhdx", "a.vhdx", 0);
	create("c.vhdx", "b.vhdx", 0);
	snprintf(parent, sizeof(parent), "%s", at("c.vhdx"));
	opts.parent = parent;
	fault_memory_watch();
	for (int what = 0; what < 2; what++) {
		bool was_hit = true;

		n_before = fault_memory_blocks();
		for (nth = 1; was_hit; nth++) {
			fault_memory_fail(nth, false);
			ret = what ? vd_disk_create(at("d.vhdx"), &opts, &err)
				   : vd_disk_open(&disk, at("c.vhdx"), NULL, &err);
			was_hit = fault_memory_hits() > 0;
			fault_memory_fail(0, false);
			if (ret && ret != VD_ENOMEM)
				fail_msg("request %d of %d gave %d: %s", (int)nth, what, ret,
					 err.text);
			if (ret && what)
				assert_int_equal(access(at("d.vhdx"), F_OK), -1);
			/* Some requests can do without. */
			if (!ret && what)
				unlink(at("d.vhdx"));
			else if (!ret)
				vd_disk_close(disk, NULL);
			assert_int_equal(fault_memory_blocks(), n_before);
		}
		assert_int_equal(ret, 0);
		n_points += nth;
	}
	print_message("%d requests for memory failed\n", (int)n_points);
	assert_true(n_points > 40);
	vd_set_allocator(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(creating_tells_of_a_root_that_will_be_needed),
	    TEST(creating_refuses_what_does_not_fit_the_parent),
	    TEST(a_check_looks_at_the_chain),
	    TEST(no_memory_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
