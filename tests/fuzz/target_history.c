/* SPDX-License-Identifier: MIT */
/*
 * The chain of the history. Input: flags (bit 0: make each entry's digest right, bit 1: and its
 * link to the one before), then entries.
 * Property: a walk ends; the XML of what can be walked over parses and is valid as far as texts
 * go; an entry can be added, and is linked if the chain wasn't broken before.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "fuzz.h"
#include "meta/meta_chain.h"
#include "meta/meta_envelope.h"
#include "xml/doc.h"

static void seal(uint8_t *raw, size_t size, bool links)
{
	uint8_t previous[32] = {0};
	uint64_t number = 0;

	while (size >= 112) {
		size_t len = (size_t)fuzz_get(raw, 4);

		if (len < 112 || len > size)
			return;
		if (links && !(fuzz_get(raw + 16, 8) && !number)) {
			fuzz_put(raw + 8, ++number, 8);
			fuzz_put(raw + 16, 0, 8);
			memcpy(raw + 32, previous, 32);
		} else {
			number = fuzz_get(raw + 8, 8);
		}
		meta_digest(raw, len - 32, raw + len - 32);
		memcpy(previous, fuzz_get(raw + 16, 8) ? raw + 32 : raw + len - 32, 32);
		raw += len;
		size -= len;
	}
}

static size_t walk(struct vd_span raw, size_t *n_broken, bool *is_whole)
{
	struct meta_walk w;
	struct meta_link link;
	bool is_linked;
	size_t n = 0;
	int ret;

	*n_broken = 0;
	meta_walk_begin(&w, raw);
	while (!(ret = meta_walk_next(&w, &link, &is_linked, NULL))) {
		n++;
		*n_broken += !is_linked;
		for (unsigned i = 0; i < META_N_TEXTS; i++)
			FUZZ_CHECK(strlen(link.text[i]) <= META_CHAIN_TEXT &&
				       fuzz_is_utf8(link.text[i]),
				   "text %u", i);
	}
	FUZZ_CHECK(n <= raw.len / 112, "%zu entries in %zu bytes", n, raw.len);
	*is_whole = ret == VD_ENOENT;
	return n;
}

static void check_xml(struct vd_span raw)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_doc *doc;
	char *xml;
	size_t len;

	FUZZ_CHECK(!meta_chain_xml(raw, &xml, &len, &err), "%s", err.text);
	FUZZ_CHECK(!vd_doc_parse(&doc, xml, len, &err), "%s in %s", err.text, xml);
	vd_doc_free(doc);
	vd_free(xml);
}

static void run(const uint8_t *data, size_t size)
{
	struct feed feed = {data, size};
	uint8_t flags = (uint8_t)feed_int(&feed, 1), *raw = fuzz_exact(feed.p, feed.n), *own;
	struct meta_link link = {.time = 1};
	size_t n_broken, n_after, len = feed.n;
	bool is_whole;

	FUZZ_CHECK(!meta_digest_init(NULL), "no libsodium");
	if (flags & 1)
		seal(raw, feed.n, flags & 2);
	if (walk(vd_span(raw, feed.n), &n_broken, &is_whole) && !n_broken && is_whole)
		fuzz_deep();
	if (is_whole) {
		check_xml(vd_span(raw, feed.n));
		own = vd_malloc(len + 1);
		FUZZ_CHECK(own, "no memory");
		memcpy(own, raw, len);
		meta_link_set(&link, 3, "added");
		if (!meta_chain_add(&own, &len, &link, NULL)) {
			walk(vd_span(own, len), &n_after, &is_whole);
			FUZZ_CHECK(is_whole && n_after <= n_broken + 1, "%zu broken, then %zu",
				   n_broken, n_after);
			FUZZ_CHECK(n_broken || !n_after, "the new entry isn't linked");
		}
		vd_free(own);
	}
	free(raw);
}

static void seed_chain(const char *name, unsigned n, const char *text, uint64_t rolled_up)
{
	uint8_t *raw = NULL, data[4096] = {3};
	size_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		struct meta_link link = {.time = 1790000000};

		meta_link_set(&link, 0, "root");
		meta_link_set(&link, 3, "tag");
		meta_link_set(&link, i % META_N_TEXTS, text);
		if (meta_chain_add(&raw, &len, &link, NULL))
			abort();
	}
	memcpy(data + 1, raw, len);
	if (rolled_up) {
		fuzz_put(data + 1 + 8, rolled_up, 8);
		fuzz_put(data + 1 + 16, rolled_up, 8);
		data[0] = 1;
	}
	fuzz_seed(name, data, len + 1);
	vd_free(raw);
}

static void seed(void)
{
	FUZZ_CHECK(!meta_digest_init(NULL), "no libsodium");
	seed_chain("one", 1, "+web", 0);
	seed_chain("five", 5, "env=prod", 0);
	seed_chain("twenty", 20, "<&>\" \xc3\xa4 \xef\xbf\xbe", 0);
	seed_chain("rolled-up", 1, "entries", 7);
	fuzz_seed("none", "\3", 1);
	fuzz_seed("short", "\3\0\0", 3);
}

const struct fuzz_target fuzz_history = {
    .name = "history", .run = run, .seed = seed, .max_memory = 8 << 20};
