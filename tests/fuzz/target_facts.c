/* SPDX-License-Identifier: MIT */
/*
 * The facts record. Input: its raw bytes; bit 0 of the first byte, which is left out: make the
 * length of the texts right.
 * Property: what is accepted is sorted, in bounds and without doubles; encoded again and read once
 * more it is the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "fuzz.h"
#include "meta/meta_envelope.h"
#include "meta/meta_facts.h"

static void check_same(const struct meta_facts *a, const struct meta_facts *b)
{
	FUZZ_CHECK(a->n_facts == b->n_facts && a->n_entries == b->n_entries, "counts");
	FUZZ_CHECK(a->history_len == b->history_len, "length of the history");
	for (size_t i = 0; i < a->n_facts; i++) {
		FUZZ_CHECK(!meta_fact_compare(&a->facts[i], &b->facts[i]), "fact %zu", i);
		FUZZ_CHECK(!i || meta_fact_compare(&a->facts[i - 1], &a->facts[i]) < 0,
			   "facts %zu and %zu aren't in order", i - 1, i);
	}
	for (size_t i = 0; i < a->n_entries; i++) {
		FUZZ_CHECK(!strcmp(a->entries[i].kind, b->entries[i].kind) &&
			       !strcmp(a->entries[i].name, b->entries[i].name) &&
			       !strcmp(a->entries[i].media, b->entries[i].media),
			   "texts of entry %zu", i);
		FUZZ_CHECK(a->entries[i].n_parts == b->entries[i].n_parts &&
			       a->entries[i].raw_len == b->entries[i].raw_len &&
			       a->entries[i].stored_len == b->entries[i].stored_len,
			   "lengths of entry %zu", i);
		FUZZ_CHECK(a->entries[i].n_parts >= 1 && a->entries[i].n_parts <= 1000, "parts");
	}
}

static void run(const uint8_t *data, size_t size)
{
	struct feed feed = {data, size};
	uint8_t flags = (uint8_t)feed_int(&feed, 1), *raw = fuzz_exact(feed.p, feed.n), *again;
	struct vd_error err = VD_ERROR_INIT;
	struct meta_facts f, back;
	size_t len;
	int ret;

	if (flags & 1 && feed.n >= 64) {
		uint64_t tables = 64 + 72 * fuzz_get(raw + 8, 4) + 16 * fuzz_get(raw + 12, 4);

		if (tables < feed.n) {
			fuzz_put(raw + 16, feed.n - tables, 4);
			raw[feed.n - 1] = 0;
		}
	}
	ret = meta_facts_decode(&f, vd_span(raw, feed.n), &err);
	FUZZ_CHECK(!ret || err.text[0], "refused without a reason");
	if (!ret) {
		fuzz_deep();
		ret = meta_facts_encode(&f, &again, &len, &err);
		/* Texts that lay over each other may need more room than there is. */
		FUZZ_CHECK(!ret || ret == VD_ENOSPC, "%s", err.text);
		if (!ret) {
			FUZZ_CHECK(!meta_facts_decode(&back, vd_span(again, len), &err), "%s",
				   err.text);
			check_same(&f, &back);
			meta_facts_free(&back);
			vd_free(again);
		}
		meta_facts_free(&f);
	}
	free(raw);
}

static void seed_facts(const char *name, const char *const (*facts)[3], size_t n,
		       const struct meta_entry *entries, size_t n_entries)
{
	struct meta_gather g = {0};
	struct meta_facts f;
	uint8_t *raw, data[4096] = {1};
	size_t len;

	for (size_t i = 0; i < n; i++)
		if (meta_gather_add(&g, facts[i][0], facts[i][1], facts[i][2], (uint32_t)(i % 3),
				    NULL))
			abort();
	if (meta_gather_finish(&g, &f, NULL))
		abort();
	f.entries = (struct meta_entry *)(uintptr_t)entries;
	f.n_entries = n_entries;
	f.history_len = 3;
	if (meta_facts_encode(&f, &raw, &len, NULL))
		abort();
	memcpy(data + 1, raw, len);
	fuzz_seed(name, data, len + 1);
	f.entries = NULL;
	meta_facts_free(&f);
	vd_free(raw);
}

static void seed(void)
{
	static const char *const facts[][3] = {
	    {"tag", "Web", "web"},
	    {"tag", "env=prod", "env=prod"},
	    {"os.id", "debian", "debian"},
	    {"package", "pkg:deb/debian/a@1", "pkg:deb/debian/a@1"},
	    {"package", "pkg:deb/b@2", "x"},
	    {"hardware.memory", "1073741824", "1073741824"}};
	static const struct meta_entry entries[] = {
	    {VD_RECORD_DOCUMENT, true, 1, 100, 300, {1}, "tags", "", ""},
	    {VD_RECORD_ATTACHMENT, false, 3, 3000000, 100, {2}, "state", "ram.sav", "a/b"},
	    {VD_RECORD_HISTORY, false, 1, 100, 300, {3}, "history", "", ""}};

	seed_facts("none", NULL, 0, NULL, 0);
	seed_facts("facts", facts, 6, NULL, 0);
	seed_facts("records", NULL, 0, entries, 3);
	seed_facts("all", facts, 6, entries, 3);
	seed_facts("one", facts, 1, entries, 1);
	fuzz_seed("short", "\0\1\0\0\0", 5);
}

const struct fuzz_target fuzz_facts = {
    .name = "facts", .run = run, .seed = seed, .max_memory = 8 << 20};
