/* SPDX-License-Identifier: MIT */
/*
 * An image that the built-in rules deny stays denied, or closed with an error, whichever request
 * for memory isn't granted while it is opened: nothing that couldn't be looked at allows anything.
 */
#include "policy_rig.h"

#define ALL_LATER 0x1u /* from that request on none is granted, not only that one */

static struct {
	long at, n;
	unsigned flags;
} memory;

static bool is_granted(void)
{
	long n = memory.n++;

	return memory.flags & ALL_LATER ? n < memory.at : n != memory.at;
}

static void *take(void *user, size_t size)
{
	(void)user;
	return is_granted() ? malloc(size) : NULL;
}

static void *resize(void *user, void *old, size_t size)
{
	(void)user;
	return is_granted() ? realloc(old, size) : NULL;
}

static void give_back(void *user, void *old)
{
	(void)user;
	free(old);
}

/** Open it for `purpose`, each time with another request refused. */
static void open_without_memory(const char *what, const char *path, enum vd_purpose purpose,
				const struct vd_policy *policy, unsigned flags)
{
	static const struct vd_allocator hooks = {take, resize, give_back, NULL};
	struct vd_image_opts opts = VD_IMAGE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_host *host = NULL;
	struct vd_image *image;
	long n = 0, refused, n_seen;

	assert_int_equal(vd_host_parse(&host, "host.memory = 1G\n", 17, NULL), 0);
	opts.host = host;
	do {
		int ret;

		refused = n;
		n += flags & ALL_LATER ? 8 : 1; /* neighbours end alike */
		memory.at = refused;
		memory.n = 0;
		memory.flags = flags;
		vd_set_allocator(&hooks);
		ret = vd_image_open(&image, path, purpose, policy, &opts, &err);
		n_seen = memory.n;
		memory.at = -1;
		memory.flags = 0;
		if (!ret)
			vd_image_close(image, NULL);
		vd_set_allocator(NULL);
		if (!ret)
			fail_msg("%s, %s: open, without request %ld for memory", what,
				 vd_purpose_name(purpose), refused);
		if (n > 20000)
			fail_msg("%s: there is no end of it", what);
	} while (n_seen > refused);
	assert_int_equal(vd_image_open(&image, path, purpose, policy, &opts, &err), VD_EDENIED);
	assert_true(n > 50);
	vd_host_free(host);
}

static void try_all(const char *what, const char *path)
{
	static const enum vd_purpose purposes[] = {VD_PURPOSE_MOUNT_RO, VD_PURPOSE_MOUNT_RW};
	struct vd_policy *policy = load(NULL);

	for (size_t i = 0; i < 2; i++) {
		open_without_memory(what, path, purposes[i], policy, 0);
		open_without_memory(what, path, purposes[i], policy, ALL_LATER);
	}
	vd_policy_free(policy);
}

static void what_an_image_says_holds_without_memory(void **state)
{
	static const struct row rows[] = {
	    {.what = "expired", .field = "expires", .value = "2020-01-31"},
	    {.what = "hardware", .field = "hardware.memory", .value = "8G"},
	    {.what = "host", .field = "compatible.os", .value = "win2k22"},
	    {.what = "damaged", .field = "expires", .value = "2990-01-31", .is_damaged = true},
	};
	const char *path = scratch_path("short.vhdx");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bytes made = make_image(&rows[i]);

		put(path, made);
		try_all(rows[i].what, path);
		assert_same(path, made, rows[i].what, "opened without memory");
		free(made.p);
	}
}

static void what_lies_beside_holds_without_memory(void **state)
{
	const char *path = scratch_path("other.raw");
	struct metabox box;

	(void)state;
	metabox_create(&box, "one.raw", "raw");
	metabox_set(&box, "title", "another disk");
	metabox_commit(&box);
	metabox_close(&box);
	assert_int_equal(
	    scratch_run("cp '%s.vdmeta' '%s.vdmeta'; truncate -s 32M '%s'", box.path, path, path),
	    0);
	try_all("a sidecar of another image", path);
	assert_int_equal(scratch_run("head -c 200K /dev/urandom >'%s.vdmeta'", path), 0);
	try_all("a sidecar that can't be read", path);

	/* By a link the sidecar is that of the image itself. */
	metabox_create(&box, "two.raw", "raw");
	metabox_set(&box, "expires", "2020-01-31");
	metabox_commit(&box);
	metabox_close(&box);
	assert_int_equal(symlink(box.path, scratch_path("link.raw")), 0);
	try_all("an expired image by a link", scratch_path("link.raw"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_an_image_says_holds_without_memory),
	    cmocka_unit_test(what_lies_beside_holds_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
