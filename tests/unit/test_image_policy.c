/* SPDX-License-Identifier: MIT */
/*
 * Every purpose that an image can be opened for, under every kind of policy: who is let in, that a
 * denial leaves each byte of the file as it was (its log waits to be replayed), and where an
 * override is found afterwards.
 */
#include "policy_rig.h"

#define BUILT_IN   "run mount-ro mount-rw"
#define ALL        "run mount-ro mount-rw convert export compact edit"
#define WRITING    "run mount-rw compact edit"
#define IN_HISTORY "mount-rw compact edit"

#define CRITICAL                                                                                   \
	"<patches xmlns=\"urn:libvdisk:patches:1\"><open id=\"CVE-2026-1234\" "                    \
	"severity=\"critical\"/></patches>"

static const char this_host[] = "host.arch = x86_64\nhost.os.id = debian12\n"
				"host.os.version = 12\nhost.os.family = linux\n"
				"host.memory = 8G\nhost.cpu.count = 4\nhost.cpu.feature = sse2\n";

/* ---- the table ---- */

static const struct row rows[] = {
    {.what = "nothing"},
    {.what = "expired",
     .field = "expires",
     .value = "2020-01-31",
     .denied = BUILT_IN,
     .rule = "builtin:validity"},
    {.what = "not yet valid",
     .field = "starts",
     .value = "2990-01-31",
     .denied = BUILT_IN,
     .rule = "builtin:validity"},
    {.what = "another host OS",
     .field = "compatible.os",
     .value = "win2k22",
     .denied = BUILT_IN,
     .rule = "builtin:host"},
    {.what = "a missing CPU feature",
     .field = "hardware.cpu.feature",
     .value = "avx512f",
     .denied = BUILT_IN,
     .rule = "builtin:hardware"},
    {.what = "a critical CVE", .document = CRITICAL, .denied = BUILT_IN, .rule = "builtin:patches"},
    {.what = "damaged metadata",
     .field = "expires",
     .value = "2990-01-31",
     .is_damaged = true,
     .denied = BUILT_IN,
     .rule = "builtin:metadata"},
    {.what = "broken rules",
     .rules = "<rule id=\"x\"",
     .denied = ALL,
     .rule = "policy",
     .says = "10.xml:1"},
    {.what = "the site denies", .rules = SITE("deny"), .denied = ALL, .rule = "site"},
    {.what = "the site wants it unchanged",
     .rules = SITE("read-only"),
     .denied = WRITING,
     .rule = "site"},
    {.what = "the site allows what a built-in rule denies",
     .field = "expires",
     .value = "2020-01-31",
     .rules = SITE("allow")},
    {.what = "the site switches that rule off",
     .field = "expires",
     .value = "2020-01-31",
     .rules = "<off rule=\"builtin:validity\"/>"},
    {.what = "a rule on one action",
     .field = "tag",
     .value = "gold",
     .rules = "<rule id=\"gold\" actions=\"convert edit\" effect=\"deny\"><when>tag:gold</when>"
	      "<reason>stays here</reason></rule>",
     .denied = "convert edit",
     .rule = "gold"},
};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static bool has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = words; p && (p = strstr(p, word)); p += len)
		if ((p == words || p[-1] == ' ') && (p[len] == ' ' || !p[len]))
			return true;
	return false;
}

static struct vd_host *make_host(void)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_host *host = NULL;

	if (vd_host_parse(&host, this_host, strlen(this_host), &err))
		fail_msg("%s", err.text);
	return host;
}

/* ---- the table, tried ---- */

struct trial {
	const struct row *row;
	const char *path;
	struct bytes made;
	struct vd_policy *policy;
	struct vd_host *host;
};

static void try_without(const struct trial *t, enum vd_purpose purpose, uint32_t flags)
{
	bool is_denied = has_word(t->row->denied, vd_purpose_name(purpose));
	struct vd_image_opts opts = VD_IMAGE_OPTS_INIT;
	const char *action = vd_purpose_name(purpose);
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image = NULL;
	struct heard heard = {0};
	int rc;

	opts.flags = flags;
	opts.host = t->host;
	opts.decided = hear;
	opts.user = &heard;
	rc = vd_image_open(&image, t->path, purpose, t->policy, &opts, &err);
	if (rc != (is_denied ? VD_EDENIED : 0))
		fail_msg("%s, %s: %d, %s", t->row->what, action, rc, err.text);
	assert_int_equal(heard.n, vd_purpose_asks(purpose));
	assert_false(heard.is_overridden || heard.is_recorded);
	if (vd_purpose_asks(purpose))
		assert_int_equal(heard.is_allowed, !is_denied);
	if (is_denied) {
		assert_null(image);
		assert_string_equal(heard.rule, t->row->rule);
		if (!strstr(err.text, t->row->says ? t->row->says : t->row->rule))
			fail_msg("%s, %s: no rule in \"%s\"", t->row->what, action, err.text);
		assert_same(t->path, t->made, t->row->what, action);
		return;
	}
	assert_int_equal(vd_image_close(image, &err), 0);
	assert_int_equal(read_history(t->path).n_overrides, 0);
	if (vd_purpose_writes(purpose))
		put(t->path, t->made);
	else
		assert_same(t->path, t->made, t->row->what, action);
}

static void try_override(const struct trial *t, enum vd_purpose purpose, uint32_t flags)
{
	bool is_denied = has_word(t->row->denied, vd_purpose_name(purpose));
	bool is_in_history = is_denied && has_word(IN_HISTORY, vd_purpose_name(purpose));
	struct vd_image_opts opts = VD_IMAGE_OPTS_INIT;
	const char *action = vd_purpose_name(purpose);
	struct vd_error err = VD_ERROR_INIT;
	struct heard heard = {0};
	struct vd_image *image;
	struct history h;

	opts.flags = flags;
	opts.host = t->host;
	opts.override_reason = REASON;
	opts.decided = hear;
	opts.user = &heard;
	if (vd_image_open(&image, t->path, purpose, t->policy, &opts, &err))
		fail_msg("%s, %s: %s", t->row->what, action, err.text);
	assert_int_equal(heard.n, vd_purpose_asks(purpose));
	assert_int_equal(heard.is_overridden, is_denied);
	assert_int_equal(heard.is_recorded, is_in_history);
	/* It stands there before the image is used. */
	h = read_history(t->path);
	assert_int_equal(h.n_overrides, is_in_history);
	assert_int_equal(vd_image_close(image, &err), 0);
	assert_int_equal(read_history(t->path).n_overrides, is_in_history);
	if (is_in_history && (strncmp(h.parameters, action, strlen(action)) != 0 ||
			      !strstr(h.parameters, REASON) || !strstr(h.parameters, t->row->rule)))
		fail_msg("%s, %s: the history says \"%s\"", t->row->what, action, h.parameters);
	if (vd_purpose_writes(purpose))
		put(t->path, t->made);
	else
		assert_same(t->path, t->made, t->row->what, action);
}

static void every_purpose_under_every_policy(void **state)
{
	struct trial t = {.path = scratch_path("tried.vhdx"), .host = make_host()};
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < N_ROWS; i++) {
		t.row = &rows[i];
		t.made = make_image(t.row);
		t.policy = load(t.row->rules);
		put(t.path, t.made);
		assert_true(has_dirty_log(t.path));
		for (int p = VD_PURPOSE_INSPECT; p <= VD_PURPOSE_EDIT; p++) {
			uint32_t most = p == VD_PURPOSE_EDIT || p == VD_PURPOSE_EXPORT
					    ? VD_IMAGE_METADATA_ONLY
					    : 0;

			for (uint32_t flags = 0; flags <= most; flags++) {
				try_without(&t, (enum vd_purpose)p, flags);
				try_override(&t, (enum vd_purpose)p, flags);
				n += 2;
			}
		}
		vd_policy_free(t.policy);
		free(t.made.p);
	}
	vd_host_free(t.host);
	printf("count: openings under a policy %u\n", n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_purpose_under_every_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
