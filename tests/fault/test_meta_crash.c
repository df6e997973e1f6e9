/* SPDX-License-Identifier: MIT */
/*
 * Power cuts while metadata is edited: attached files of several items, with the documents that
 * name them, the history and the facts, all in one change, beside payload that is written and
 * freed. Afterwards all records are as before the edit or as after it, no digest is wrong, the
 * facts fit, and all that test_crash asks of the payload holds. VD_CRASH_STATES=N aims for N
 * states. test-timeout: 400
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/disk.h>
#include <vdisk/item.h>
#include <vdisk/meta.h>

#include "powercut.h"
#include "scratch.h"
#include "stamp.h"

#define MIB ((uint64_t)1 << 20)

/* What a file is made of: so many bytes that can't be deflated, others for each seed. */
struct bytes {
	size_t left;
	uint64_t random;
};

/* One commit: a tag, files that come (in the place of one of that name), one that goes. */
struct edit {
	const char *tag;
	struct {
		const char *kind, *name;
		size_t len;
	} files[2];
	const char *gone;
	bool is_strip;
	uint32_t n_items; /* that this change writes, at least */
};

static const struct edit edits[] = {
    {"first", {{NULL, "big", 1200000}}, NULL, false, 5},
    {"two", {{"configuration", "site.yaml", 300}, {"state", "memory", 2200000}}, NULL, false, 8},
    {"replaced", {{NULL, "big", 2300000}}, NULL, false, 6},
    {"gone", {{NULL, NULL, 0}}, "attachment:memory", false, 3},
    {"smaller", {{NULL, "big", 40}}, NULL, false, 4},
    {"both", {{NULL, "big", 1100000}, {"state", "memory", 1100000}}, NULL, false, 8},
    {NULL, {{NULL, NULL, 0}}, NULL, true, 0},
    {"again", {{"state", "memory", 1050000}}, NULL, false, 5},
};
#define N_EDITS (sizeof(edits) / sizeof(edits[0]))

/* What the metadata says from one moment of the recording on. */
struct edited {
	size_t begin, end;
	char *state;
};

struct seen {
	struct edited at[N_EDITS + 1];
	size_t n;
	uint64_t n_before, n_after; /* states seen that show the one or the other, while changing */
};

static struct scene_count count;

static int64_t bring(void *user, void *buf, size_t len, struct vd_error *err)
{
	struct bytes *b = user;
	size_t n = b->left < len ? b->left : len;

	(void)err;
	for (size_t i = 0; i < n; i += 8) {
		uint64_t word = rnd(&b->random);

		memcpy((char *)buf + i, &word, n - i < 8 ? n - i : 8);
	}
	b->left -= n;
	return (int64_t)n;
}

static int drop(void *user, const void *buf, size_t len, struct vd_error *err)
{
	(void)buf;
	(void)err;
	*(uint64_t *)user += len;
	return 0;
}

static int print_entry(void *user, const struct vd_history_entry *e)
{
	fprintf(user, "%" PRIu64 " %s %s%s\n", e->number, e->op.operation, e->op.parameters,
		e->is_linked ? "" : " BROKEN");
	return 0;
}

/* A record read whole. False: it can't be. */
static bool print_record(FILE *out, struct vd_meta *meta, const struct vd_record *r,
			 struct vd_error *err)
{
	uint64_t n_read = 0;
	char *bytes, *name = strdup(r->name), *kind = strdup(r->kind);
	size_t len;
	int rc = r->damage;

	if (rc)
		snprintf(err->text, sizeof(err->text), "%s%s: %s", kind, name, r->damage_text);
	fprintf(out, "%d %s %s %" PRIu64 " ", r->type, kind, name, r->raw_len);
	for (int i = 0; i < 32; i++)
		fprintf(out, "%02x", r->digest[i]);
	fputc('\n', out);
	if (!rc && r->type == VD_RECORD_ATTACHMENT) {
		rc = vd_meta_extract(meta, name, drop, &n_read, err);
	} else if (!rc && r->type == VD_RECORD_DOCUMENT) {
		rc = vd_meta_get_document(meta, kind, &bytes, &len, err);
		if (!rc)
			vd_meta_free(bytes);
	}
	free(name);
	free(kind);
	return rc == 0;
}

/* All that the metadata says, each record read and proven; NULL: text tells what is wrong. */
static char *state_of(struct vd_disk *disk, char *text, size_t size)
{
	struct vd_meta_info info = {.size = sizeof(info)};
	struct vd_error err = VD_ERROR_INIT;
	const struct vd_record *r;
	struct vd_meta *meta;
	uint64_t n_broken = 0;
	char *state = NULL;
	size_t len;
	FILE *out = open_memstream(&state, &len);
	bool ok = out && vd_meta_open(&meta, disk, NULL, &err) == 0;
	int rc;

	assert_true(ok);
	for (size_t i = 0; ok && (r = vd_meta_record(meta, i)); i++)
		ok = print_record(out, meta, r, &err);
	rc = vd_meta_read_history(meta, print_entry, out, &n_broken, &err);
	vd_meta_get_info(meta, &info);
	ok =
	    ok && (!rc || rc == VD_ENOENT) && !n_broken && !info.has_stale_facts && !info.n_damaged;
	if (!ok)
		snprintf(text, size,
			 "metadata: %s; %" PRIu64 " broken links, %zu damaged records%s", err.text,
			 n_broken, info.n_damaged, info.has_stale_facts ? ", stale facts" : "");
	vd_meta_close(meta);
	fclose(out);
	if (ok)
		return state;
	free(state);
	return NULL;
}

static void remember(struct seen *seen, struct record *record, struct vd_disk *disk, size_t begin)
{
	struct edited *e = &seen->at[seen->n++];
	char text[600];

	e->begin = begin;
	e->end = record ? record_now(record) : 0;
	e->state = state_of(disk, text, sizeof(text));
	if (!e->state)
		fail_msg("edit %zu: %s", seen->n, text);
}

#define OK(call)                                                                                   \
	do {                                                                                       \
		if (call)                                                                          \
			fail_msg("%s: %s", #call, err.text);                                       \
	} while (0)

static void make_edit(struct vd_disk *disk, const struct edit *edit, uint64_t seed)
{
	struct vd_operation op = {.time = 1790000000 + (int64_t)seed,
				  .actor = "tester",
				  .operation = "edit",
				  .parameters = edit->tag,
				  .outcome = "ok"};
	struct vd_meta_opts opts = VD_META_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_meta *meta;

	opts.flags = VD_META_WRITE;
	OK(vd_meta_open(&meta, disk, &opts, &err));
	for (size_t i = 0; i < 2 && edit->files[i].name; i++) {
		struct bytes bytes = {edit->files[i].len, seed * 10 + i + 1};

		OK(vd_meta_attach(meta, edit->files[i].kind, edit->files[i].name, "test/bytes",
				  bring, &bytes, &err));
	}
	if (edit->gone)
		OK(vd_meta_remove(meta, edit->gone, &err));
	if (edit->is_strip) {
		OK(vd_meta_strip(meta, &err));
	} else {
		OK(vd_meta_set_field(meta, "tag", VD_FIELD_ADD, edit->tag, &err));
		OK(vd_meta_log(meta, &op, &err));
	}
	OK(vd_meta_commit(meta, &err));
	vd_meta_close(meta);
}

/* As after the last edit that was done at this moment, or the one under way. */
static bool may_show(void *user, size_t moment, struct vd_disk *disk, char *text, size_t size)
{
	struct seen *seen = user;
	size_t i = seen->n - 1;
	bool is_changing, is_before, is_after;
	char *state = state_of(disk, text, size);

	if (!state)
		return false;
	while (i && seen->at[i].end > moment)
		i--;
	is_changing = i + 1 < seen->n && seen->at[i + 1].begin < moment;
	is_before = !strcmp(state, seen->at[i].state);
	is_after = is_changing && !strcmp(state, seen->at[i + 1].state);
	seen->n_before += is_changing && is_before;
	seen->n_after += is_after;
	if (!is_before && !is_after)
		snprintf(text, size, "neither the metadata after edit %zu nor %s:\n%.400s", i,
			 is_changing ? "that after the next" : "another", state);
	free(state);
	return is_before || is_after;
}

/* An image with metadata and an item of somebody else's. */
static void make_image(struct powercut *cut, struct seen *seen)
{
	static const struct edit first = {.tag = "made", .files = {{"configuration", "a", 70}}};
	struct vd_item_change foreign = {
	    .id = {7}, .flags = VD_ITEM_USER, .length = 7, .data = "foreign"};
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk;

	powercut_make_image(cut);
	disk = powercut_open_image(cut);
	OK(vd_disk_change_items(disk, &foreign, 1, &err));
	make_edit(disk, &first, 99);
	remember(seen, NULL, disk, 0);
	OK(vd_disk_close(disk, &err));
}

static uint32_t n_items(struct vd_disk *disk)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_item *items;
	size_t n;

	OK(vd_disk_list_items(disk, &items, &n, &err));
	vd_items_free(items);
	return (uint32_t)n;
}

static void live(struct workload *w, struct seen *seen)
{
	for (size_t i = 0; i < N_EDITS; i++) {
		size_t begin;

		for (int k = 0; k < 3; k++)
			if (!workload_step(w))
				fail_msg("%s", w->text);
		begin = record_now(w->record);
		make_edit(w->disk, &edits[i], i + 1);
		assert_true(n_items(w->disk) >= edits[i].n_items);
		remember(seen, w->record, w->disk, begin);
	}
}

static void check_count(const struct seen *seen)
{
	print_message("while an edit was under way, %" PRIu64
		      " looks found what was before, %" PRIu64 " what was to be\n",
		      seen->n_before, seen->n_after);
	print_message("count: power cuts while files are attached, states examined %" PRIu64 "\n",
		      count.states);
	assert_true(count.states >= 200 && count.states >= powercut_n_states(0));
	assert_true(count.dirty && count.nested && count.by_kind[CRASH_SUBSET]);
	assert_true(seen->n_before && seen->n_after);
	if (scratch_has("qemu-io"))
		assert_true(count.qemu >= 10);
}

static void test_edits(void **state)
{
	static const struct powercut_life life = {.name = "metadata",
						  .size = 6 * MIB,
						  .windows = {{0, 6 * MIB}},
						  .never_reopen = true,
						  .is_for_qemu = true};
	struct powercut cut;
	struct seen seen = {0};

	(void)state;
	powercut_begin(&cut, &life, 71);
	make_image(&cut, &seen);
	powercut_record(&cut, 4000);
	live(&cut.w, &seen);
	powercut_stop(&cut, true);
	cut.also = may_show;
	cut.also_user = &seen;
	powercut_walk(&cut, powercut_share(powercut_n_states(0), 1), &count);
	powercut_end(&cut);
	check_count(&seen);
	for (size_t i = 0; i < seen.n; i++)
		free(seen.at[i].state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_edits)};

	return cmocka_run_group_tests_name("metadata crash", tests, NULL, NULL);
}
