/* SPDX-License-Identifier: MIT */
/* Images under a policy: what the table of test_image_policy.c doesn't say. */
#include "policy_rig.h"

/* ---- between two looks at an image (tests/policy/enforce.mk) ---- */

static void (*meanwhile)(void);
static unsigned n_opened;

int __real_vd_disk_open(struct vd_disk **out, const char *path, const struct vd_open_opts *opts,
			struct vd_error *err);
int __wrap_vd_disk_open(struct vd_disk **out, const char *path, const struct vd_open_opts *opts,
			struct vd_error *err);
int __wrap_vd_disk_open(struct vd_disk **out, const char *path, const struct vd_open_opts *opts,
			struct vd_error *err)
{
	void (*now)(void) = meanwhile;

	if (++n_opened == 2 && now) {
		meanwhile = NULL;
		now();
	}
	return __real_vd_disk_open(out, path, opts, err);
}

/* ---- facts that can't be told ---- */

static int facts_code, host_code; /* of the facts that are derived anew */

int __real_vd_meta_get_facts(struct vd_meta *meta, bool derive, const struct vd_fact **facts,
			     size_t *n, struct vd_error *err);
int __wrap_vd_meta_get_facts(struct vd_meta *meta, bool derive, const struct vd_fact **facts,
			     size_t *n, struct vd_error *err);
int __wrap_vd_meta_get_facts(struct vd_meta *meta, bool derive, const struct vd_fact **facts,
			     size_t *n, struct vd_error *err)
{
	if (facts_code && derive) /* as with more than VD_META_FACTS_MAX, or a failing disk */
		return vd_error_set(err, facts_code, 0, VD_NO_OFFSET, "no facts today");
	return __real_vd_meta_get_facts(meta, derive, facts, n, err);
}

int __real_vd_host_collect(struct vd_host **out, const struct vd_host_opts *opts,
			   struct vd_error *err);
int __wrap_vd_host_collect(struct vd_host **out, const struct vd_host_opts *opts,
			   struct vd_error *err);
int __wrap_vd_host_collect(struct vd_host **out, const struct vd_host_opts *opts,
			   struct vd_error *err)
{
	if (host_code)
		return vd_error_set(err, host_code, 0, VD_NO_OFFSET, "no host today");
	return __real_vd_host_collect(out, opts, err);
}

static void no_policy_asks_nothing(void **state)
{
	static const struct row row = {.field = "expires", .value = "2020-01-31"};
	const char *path = scratch_path("unasked.vhdx");
	struct vd_image_opts opts = VD_IMAGE_OPTS_INIT;
	struct bytes made = make_image(&row);
	struct heard heard = {0};
	struct vd_image *image;

	(void)state;
	opts.decided = hear;
	opts.user = &heard;
	for (int p = VD_PURPOSE_INSPECT; p <= VD_PURPOSE_EDIT; p++) {
		put(path, made);
		assert_int_equal(vd_image_open(&image, path, (enum vd_purpose)p, NULL, &opts, NULL),
				 0);
		assert_int_equal(vd_image_close(image, NULL), 0);
	}
	assert_int_equal(heard.n, 0);
	free(made.p);
}

static int open_it(struct vd_image **image, const char *path, enum vd_purpose purpose,
		   const struct vd_policy *policy, uint32_t flags, const char *reason,
		   struct heard *heard)
{
	struct vd_image_opts opts = VD_IMAGE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;

	*image = NULL;
	opts.flags = flags;
	opts.override_reason = reason;
	opts.decided = hear;
	opts.user = heard;
	return vd_image_open(image, path, purpose, policy, &opts, &err);
}

static void nothing_is_put_where_nothing_is(void **state)
{
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
	const char *path = scratch_path("bare.vhdx");
	struct vd_policy *policy = load(SITE("deny"));
	struct heard heard = {0};
	struct vd_image *image;
	struct bytes made;

	(void)state;
	opts.virtual_size = 8 << 20;
	opts.log_size = 1 << 20;
	assert_int_equal(vd_disk_create(path, &opts, NULL), 0);
	made = slurp(path);
	assert_int_equal(open_it(&image, path, VD_PURPOSE_MOUNT_RW, policy, 0, REASON, &heard), 0);
	assert_true(heard.is_overridden && !heard.is_recorded);
	assert_int_equal(vd_image_close(image, NULL), 0);
	assert_same(path, made, "an override", "mount-rw");
	vd_policy_free(policy);
	free(made.p);
}

static void sidecars_are_treated_alike(void **state)
{
	const char *path = scratch_path("disk.raw"), *sidecar = scratch_path("disk.raw.vdmeta");
	struct vd_policy *policy = load(SITE("deny"));
	struct heard heard = {0};
	struct vd_image *image;
	struct bytes raw, beside;
	struct metabox box;

	(void)state;
	metabox_create(&box, "disk.raw", "raw");
	metabox_set(&box, "title", "a disk");
	metabox_log(&box, "made");
	metabox_commit(&box);
	metabox_close(&box);
	raw = slurp(path);
	beside = slurp(sidecar);
	for (uint32_t flags = 0; flags <= VD_IMAGE_METADATA_ONLY; flags++) {
		assert_int_equal(
		    open_it(&image, path, VD_PURPOSE_EDIT, policy, flags, NULL, &heard),
		    VD_EDENIED);
		assert_same(path, raw, "a disk with a sidecar", "edit");
		assert_same(sidecar, beside, "the sidecar", "edit");
	}
	assert_int_equal(
	    open_it(&image, path, VD_PURPOSE_EDIT, policy, VD_IMAGE_METADATA_ONLY, REASON, &heard),
	    0);
	assert_true(heard.is_overridden && heard.is_recorded);
	assert_int_equal(vd_image_close(image, NULL), 0);
	assert_int_equal(read_history(path).n_overrides, 1);
	assert_same(path, raw, "a disk with a sidecar", "edit");
	vd_policy_free(policy);
	free(raw.p);
	free(beside.p);
}

static void an_open_image_is_asked_about_again(void **state)
{
	static const struct row row = {.field = "tag", .value = "gold"};
	const char *path = scratch_path("asked.vhdx");
	struct vd_policy *sites = load("<rule id=\"gold\" actions=\"edit\" effect=\"deny\">"
				       "<when>tag:gold</when><reason>no</reason></rule>");
	struct vd_image_opts opts = VD_IMAGE_OPTS_INIT;
	struct bytes made = make_image(&row);
	struct vd_error err = VD_ERROR_INIT;
	struct heard heard = {0};
	struct vd_image *image;

	(void)state;
	put(path, made);
	free(made.p);
	assert_int_equal(open_it(&image, path, VD_PURPOSE_MOUNT_RW, sites, 0, NULL, &heard), 0);
	assert_int_equal(vd_image_ask(image, VD_PURPOSE_EDIT, sites, NULL, &err), VD_EDENIED);
	assert_non_null(strstr(err.text, "gold"));
	assert_int_equal(vd_image_ask(image, VD_PURPOSE_COMPACT, sites, NULL, &err), 0);
	assert_int_equal(vd_image_ask(image, VD_PURPOSE_EDIT, NULL, NULL, &err), 0);
	assert_int_equal(vd_image_ask(image, VD_PURPOSE_INSPECT, sites, NULL, &err), 0);
	assert_int_equal(read_history(path).n_overrides, 0);

	opts.override_reason = REASON;
	opts.actor = "somebody";
	opts.decided = hear;
	opts.user = &heard;
	assert_int_equal(vd_image_ask(image, VD_PURPOSE_EDIT, sites, &opts, &err), 0);
	assert_true(heard.is_overridden && heard.is_recorded);
	assert_int_equal(read_history(path).n_overrides, 1);

	/* Whether it may still be mounted, once its time is over. */
	assert_int_equal(
	    vd_meta_set_field(vd_image_meta(image), "expires", VD_FIELD_SET, "2020-01-31", &err),
	    0);
	assert_int_equal(vd_image_commit(image, "expire", NULL, &err), 0);
	assert_int_equal(vd_image_ask(image, VD_PURPOSE_MOUNT_RW, sites, NULL, &err), VD_EDENIED);
	assert_int_equal(vd_image_close(image, NULL), 0);
	vd_policy_free(sites);
}

static void an_override_needs_a_reason(void **state)
{
	static const char *const empty[] = {"", " ", "\t \n"};
	struct vd_policy *policy = load(SITE("allow"));
	struct heard heard = {0};
	struct vd_image *image;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(open_it(&image, scratch_path("tried.vhdx"), VD_PURPOSE_MOUNT_RO,
					 policy, 0, empty[i], &heard),
				 VD_EINVAL);
	vd_policy_free(policy);
}

static void what_isnt_there_isnt_denied(void **state)
{
	struct vd_policy *policy = load(SITE("deny"));
	struct heard heard = {0};
	struct vd_image *image;

	(void)state;
	for (int p = VD_PURPOSE_INSPECT; p <= VD_PURPOSE_EDIT; p++)
		assert_int_equal(open_it(&image, scratch_path("nowhere"), (enum vd_purpose)p,
					 policy, 0, NULL, &heard),
				 VD_ENOENT);
	assert_int_equal(heard.n, 0);
	vd_policy_free(policy);
}

/** Handing out metadata needs no lock; handing out content does. */
static void metadata_is_exported_while_it_is_in_use(void **state)
{
	static const struct row row = {.field = "tag", .value = "gold"};
	const char *path = scratch_path("used.vhdx");
	struct vd_policy *none = load(NULL), *deny = load(SITE("deny"));
	struct bytes made = make_image(&row);
	struct vd_image *user, *image;
	struct heard heard = {0};

	(void)state;
	put(path, made);
	free(made.p);
	assert_int_equal(open_it(&user, path, VD_PURPOSE_MOUNT_RW, none, 0, NULL, &heard), 0);
	assert_int_equal(open_it(&image, path, VD_PURPOSE_EXPORT, none, 0, NULL, &heard), VD_EBUSY);
	assert_int_equal(
	    open_it(&image, path, VD_PURPOSE_EXPORT, none, VD_IMAGE_METADATA_ONLY, NULL, &heard),
	    0);
	assert_int_equal(vd_image_close(image, NULL), 0);
	assert_int_equal(
	    open_it(&image, path, VD_PURPOSE_EXPORT, deny, VD_IMAGE_METADATA_ONLY, NULL, &heard),
	    VD_EDENIED);
	assert_int_equal(vd_image_close(user, NULL), 0);
	vd_policy_free(none);
	vd_policy_free(deny);
}

/** Somebody makes it gold after the first look, which holds no lock any more. */
static void make_gold(void)
{
	struct vd_image *image;

	assert_int_equal(
	    vd_image_open(&image, scratch_path("raced.vhdx"), VD_PURPOSE_EDIT, NULL, NULL, NULL),
	    0);
	assert_int_equal(vd_meta_set_field(vd_image_meta(image), "tag", VD_FIELD_ADD, "gold", NULL),
			 0);
	assert_int_equal(vd_image_commit(image, "tag", "+gold", NULL), 0);
	assert_int_equal(vd_image_close(image, NULL), 0);
}

static void what_changes_meanwhile_counts(void **state)
{
	static const struct row row = {.field = "tag", .value = "lead"};
	const char *path = scratch_path("raced.vhdx");
	struct vd_policy *policy = load("<rule id=\"gold\" actions=\"*\" effect=\"deny\">"
					"<when>tag:gold</when><reason>no</reason></rule>");
	struct bytes made = make_image(&row);
	struct heard heard = {0};
	struct vd_image *image;

	(void)state;
	for (int p = VD_PURPOSE_MOUNT_RO; p <= VD_PURPOSE_EDIT; p++) {
		if (!vd_purpose_writes((enum vd_purpose)p))
			continue;
		put(path, made);
		meanwhile = make_gold;
		n_opened = 0;
		assert_int_equal(open_it(&image, path, (enum vd_purpose)p, policy, 0, NULL, &heard),
				 VD_EDENIED);
		assert_null(meanwhile);
		assert_false(heard.is_allowed);
		assert_int_equal(read_history(path).n_overrides, 0);
	}
	vd_policy_free(policy);
	free(made.p);
}

static void what_cant_be_told_isnt_allowed(void **state)
{
	static const struct row row = {.field = "tag", .value = "gold"};
	static const int denials[] = {VD_ENOSPC, VD_ECORRUPT}, failures[] = {VD_EIO, VD_ENOMEM};
	const char *path = scratch_path("untold.vhdx");
	struct vd_policy *none = load(NULL);
	struct bytes made = make_image(&row);
	struct heard heard = {0};
	struct vd_image *image;

	(void)state;
	put(path, made);
	for (int p = VD_PURPOSE_MOUNT_RO; p <= VD_PURPOSE_RUN; p++) {
		for (size_t i = 0; i < 2; i++) {
			facts_code = denials[i];
			assert_int_equal(
			    open_it(&image, path, (enum vd_purpose)p, none, 0, NULL, &heard),
			    VD_EDENIED);
			assert_string_equal(heard.rule, "policy");
			facts_code = failures[i];
			assert_int_equal(
			    open_it(&image, path, (enum vd_purpose)p, none, 0, REASON, &heard),
			    failures[i]);
		}
		assert_same(path, made, "an image that can't be told", vd_purpose_name(p));
	}
	/* No rule speaks of it, so nothing has to be known. */
	assert_int_equal(open_it(&image, path, VD_PURPOSE_CONVERT, none, 0, NULL, &heard), 0);
	assert_int_equal(vd_image_close(image, NULL), 0);
	facts_code = VD_ENOSPC;
	assert_int_equal(open_it(&image, path, VD_PURPOSE_MOUNT_RO, none, 0, REASON, &heard), 0);
	assert_true(heard.is_overridden);
	assert_int_equal(vd_image_close(image, NULL), 0);
	facts_code = 0;
	vd_policy_free(none);
	free(made.p);
}

/** It takes longer than all else, so only those are asked who want it; then it is needed. */
static void the_host_is_looked_at_where_it_counts(void **state)
{
	static const struct {
		const char *field, *value, *rules;
		bool counts;
	} cases[] = {
	    {"expires", "2990-01-31", NULL, false},
	    {"hardware.memory", "1M", NULL, true},
	    {"compatible.os", "linux", NULL, true},
	    {"tag", "gold",
	     "<rule id=\"h\" actions=\"mount-ro\" effect=\"allow\"><when>host.arch:*</when>"
	     "<reason>r</reason></rule>",
	     true},
	    {"tag", "gold",
	     "<rule id=\"h\" actions=\"convert\" effect=\"allow\"><when>host.arch:*</when>"
	     "<reason>r</reason></rule>",
	     false},
	};
	const char *path = scratch_path("hosted.vhdx");
	struct heard heard = {0};
	struct vd_image *image;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct row row = {.field = cases[i].field, .value = cases[i].value};
		struct vd_policy *policy = load(cases[i].rules);
		struct bytes made = make_image(&row);

		put(path, made);
		free(made.p);
		host_code = VD_ENOMEM;
		assert_int_equal(
		    open_it(&image, path, VD_PURPOSE_MOUNT_RO, policy, 0, NULL, &heard),
		    cases[i].counts ? VD_ENOMEM : 0);
		vd_image_close(image, NULL);
		host_code = 0;
		assert_int_equal(
		    open_it(&image, path, VD_PURPOSE_MOUNT_RO, policy, 0, NULL, &heard), 0);
		vd_image_close(image, NULL);
		vd_policy_free(policy);
	}
}

/** It never keeps the disk from being used; what isn't recorded is for the caller to remember. */
static void damage_is_no_way_round_the_record(void **state)
{
	const char *path = scratch_path("spoilt.vhdx"), *raw = scratch_path("spoilt.raw");
	struct vd_policy *policy = load(SITE("deny")), *none = load(NULL);
	struct heard heard = {0};
	struct vd_image *image;
	struct vd_item item;
	struct metabox box;
	uint8_t *bytes;

	(void)state;
	metabox_create(&box, "spoilt.vhdx", "vhdx");
	metabox_set(&box, "title", "an image");
	metabox_log(&box, "made");
	metabox_commit(&box);
	bytes = metabox_item(&box, "history", &item);
	bytes[item.length - 1] ^= 1;
	metabox_put_item(&box, "history", bytes, item.length, item.flags);
	free(bytes);
	metabox_close(&box);
	assert_int_equal(open_it(&image, path, VD_PURPOSE_MOUNT_RW, policy, 0, NULL, &heard),
			 VD_EDENIED);
	assert_int_equal(open_it(&image, path, VD_PURPOSE_MOUNT_RW, policy, 0, REASON, &heard), 0);
	assert_true(heard.is_overridden && heard.is_recorded);
	assert_int_equal(vd_image_close(image, NULL), 0);
	assert_int_equal(read_history(path).n_overrides, 1);

	/* A sidecar that nobody can read or write. */
	metabox_create(&box, "spoilt.raw", "raw");
	metabox_close(&box);
	assert_int_equal(scratch_run("head -c 200K /dev/urandom >'%s.vdmeta'", raw), 0);
	assert_int_equal(open_it(&image, raw, VD_PURPOSE_MOUNT_RW, none, 0, NULL, &heard),
			 VD_EDENIED);
	assert_string_equal(heard.rule, "builtin:metadata");
	assert_int_equal(open_it(&image, raw, VD_PURPOSE_MOUNT_RW, none, 0, REASON, &heard), 0);
	assert_true(heard.is_overridden && !heard.is_recorded);
	assert_int_equal(vd_disk_write(vd_image_disk(image), "x", 1, 0, NULL), 0);
	assert_int_equal(vd_image_close(image, NULL), 0);
	vd_policy_free(policy);
	vd_policy_free(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_policy_asks_nothing),
	    cmocka_unit_test(nothing_is_put_where_nothing_is),
	    cmocka_unit_test(sidecars_are_treated_alike),
	    cmocka_unit_test(what_changes_meanwhile_counts),
	    cmocka_unit_test(what_cant_be_told_isnt_allowed),
	    cmocka_unit_test(the_host_is_looked_at_where_it_counts),
	    cmocka_unit_test(damage_is_no_way_round_the_record),
	    cmocka_unit_test(an_open_image_is_asked_about_again),
	    cmocka_unit_test(an_override_needs_a_reason),
	    cmocka_unit_test(what_isnt_there_isnt_denied),
	    cmocka_unit_test(metadata_is_exported_while_it_is_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
