/* SPDX-License-Identifier: MIT */
/*
 * Searching in a catalog: it pre-selects images (catalog_select.c), and for each the evaluator
 * decides, of the facts that could matter. Values are kept in a cache of bounded size, images come
 * one by one: memory doesn't grow with their number.
 */
#include <stdlib.h>
#include <string.h>

#include "catalog.h"
#include "metadata.h"
#include "output.h"
#include "search/search.h"

#define CACHE_FIRST (1u << 10)
#define CACHE_FULL  (1u << 15) /* values; what one image has comes on top */
#define CACHE_BYTES (8u << 20)

struct cached {
	int64_t id; /* 0: free */
	char *key;  /* the value stands behind it, in the same memory */
	const char *value;
};

struct run {
	struct vd_fact *facts;
	size_t n, room;
};

/** First the evidence: both callbacks of the evaluator get the same `user`. */
struct looking {
	struct search_evidence evidence;
	struct catalog_files *files;
	struct catalog_store *store;
	const struct search_plan *plan;
	struct catalog_selection selection;
	search_hit_fn hit;
	void *user;
	struct search_stats *stats;
	struct catalog_places *places;
	char **fields; /* by number */
	size_t n_fields;
	struct cached *cache;
	size_t n_slots, n_cached, cached_bytes;
	struct run runs[2];
	const char *path; /* of the image, as it is shown */
	bool needs_all;
};

static int no_memory(struct vd_error *err)
{
	return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
}

static int damaged(struct vd_error *err)
{
	return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
			    "the catalog is damaged: the facts of an image can't be read; remove "
			    "it and sync again");
}

/* ---- values ---- */

static void empty_cache(struct looking *l)
{
	for (size_t i = 0; l->n_cached && i < l->n_slots; i++) {
		if (!l->cache[i].id)
			continue;
		free(l->cache[i].key);
		l->cache[i] = (struct cached){0, NULL, NULL};
	}
	l->n_cached = l->cached_bytes = 0;
}

/** Where the value is, or would be. */
static struct cached *slot_of(struct cached *cache, size_t n_slots, int64_t id)
{
	size_t at = (size_t)((uint64_t)id * UINT64_C(0x9e3779b97f4a7c15) >> 32) % n_slots;

	while (cache[at].id && cache[at].id != id)
		at = (at + 1) % n_slots;
	return &cache[at];
}

/** At most half of the slots are taken. */
static int grow_cache(struct looking *l, struct vd_error *err)
{
	size_t n_slots = l->n_slots ? 2 * l->n_slots : CACHE_FIRST;
	struct cached *cache = calloc(n_slots, sizeof(*cache));

	if (!cache)
		return no_memory(err);
	for (size_t i = 0; i < l->n_slots; i++) {
		if (l->cache[i].id)
			*slot_of(cache, n_slots, l->cache[i].id) = l->cache[i];
	}
	free(l->cache);
	l->cache = cache;
	l->n_slots = n_slots;
	return 0;
}

static int fill_slot(struct looking *l, struct cached *slot, int64_t id, struct vd_error *err)
{
	struct vd_fact value;
	size_t n_key, n_value;
	int rc = l->store->ops->value(l->store, id, &value, err);

	if (rc)
		return rc;
	n_key = strlen(value.key) + 1;
	n_value = strlen(value.value) + 1;
	slot->key = malloc(n_key + n_value);
	if (!slot->key)
		return no_memory(err);
	memcpy(slot->key, value.key, n_key);
	slot->value = memcpy(slot->key + n_key, value.value, n_value);
	slot->id = id;
	l->n_cached++;
	l->cached_bytes += n_key + n_value;
	return 0;
}

static int find_value(struct looking *l, int64_t id, const struct cached **out,
		      struct vd_error *err)
{
	struct cached *slot;
	int rc = l->n_cached >= l->n_slots / 2 ? grow_cache(l, err) : 0;

	if (rc)
		return rc;
	*out = slot = slot_of(l->cache, l->n_slots, id);
	return slot->id ? 0 : fill_slot(l, slot, id, err);
}

/* ---- facts of an image ---- */

static int add_fact(struct run *run, const char *field, const struct cached *value, uint32_t group,
		    struct vd_error *err)
{
	if (run->n == run->room) {
		size_t room = run->room * 2 + 64;
		struct vd_fact *facts = realloc(run->facts, room * sizeof(*facts));

		if (!facts)
			return no_memory(err);
		run->facts = facts;
		run->room = room;
	}
	run->facts[run->n++] = (struct vd_fact){field, value->value, value->key, group};
	return 0;
}

static int take_field(struct looking *l, struct run *run, uint64_t field, struct catalog_unpack *in,
		      bool is_needed, struct vd_error *err)
{
	const struct cached *value;
	int rc = 0;

	if (field >= l->n_fields || !l->fields[field])
		return damaged(err);
	while (!rc && in->at < in->end) {
		int64_t id = (int64_t)catalog_unpack_number(in);
		uint32_t group = (uint32_t)catalog_unpack_number(in);

		if (in->is_wrong || id <= 0)
			return damaged(err);
		if (!is_needed && !catalog_bits_has(&l->selection.values, id))
			continue;
		rc = find_value(l, id, &value, err);
		if (!rc)
			rc = add_fact(run, l->fields[field], value, group, err);
	}
	return rc;
}

/** Those that are needed; `all`: whatever it says. */
static int take_facts(struct looking *l, const struct catalog_known *known, bool all,
		      struct vd_error *err)
{
	struct catalog_unpack in = {known->facts, known->facts + known->facts_len, false};
	size_t run = 0;
	int rc = 0;

	l->runs[0].n = l->runs[1].n = 0;
	if (l->n_cached > CACHE_FULL || l->cached_bytes > CACHE_BYTES)
		empty_cache(l);
	while (!rc && in.at < in.end) {
		uint64_t field = catalog_unpack_number(&in);
		struct catalog_unpack inner;
		size_t n;

		if (!field) {
			run++;
			continue;
		}
		n = (size_t)catalog_unpack_number(&in);
		if (in.is_wrong || n > (size_t)(in.end - in.at) || run > 1)
			return damaged(err);
		inner = (struct catalog_unpack){in.at, in.at + n, false};
		in.at += n;
		rc = take_field(l, &l->runs[run], field, &inner,
				all || catalog_bits_has(&l->selection.fields, (int64_t)field), err);
	}
	return rc;
}

/** A fact that isn't stored, at its place among those of the file. */
static int insert_fact(struct run *run, const char *field, const char *value, const char *key,
		       struct vd_error *err)
{
	struct cached texts = {1, NULL, value};
	size_t at = run->n;
	int rc = add_fact(run, field, &texts, 0, err);

	if (rc)
		return rc;
	while (at && strcmp(run->facts[at - 1].field, field) > 0) {
		run->facts[at] = run->facts[at - 1];
		at--;
	}
	run->facts[at] = (struct vd_fact){field, value, key, 0};
	return 0;
}

/* ---- matching ---- */

static int answer_files(void *user, const struct vd_query_node *node, char *path, size_t size,
			struct vd_error *err)
{
	struct looking *l = user;

	return catalog_files_match(l->files, node, path, size, err);
}

static int tell_hit(struct looking *l, const struct catalog_image *image,
		    const struct catalog_known *known, struct vd_query_subject *subject,
		    struct vd_error *err);

/** What isn't stored of the file. */
static int add_unstored(struct looking *l, const struct catalog_image *image, char **key,
			char time[TOOL_TIME_TEXT], char time_key[TOOL_TIME_TEXT],
			struct vd_error *err)
{
	int64_t ns = image->key.image.mtime;
	int rc = vd_query_key(l->path, key, NULL);

	/* A path that isn't text can't be asked for. */
	if (rc && rc != VD_EINVAL)
		return no_memory(err);
	tool_time_format(ns / 1000000000 - (ns % 1000000000 < 0), time);
	for (size_t i = 0; i < TOOL_TIME_TEXT; i++)
		time_key[i] = (char)(time[i] >= 'A' && time[i] <= 'Z' ? time[i] | 0x20 : time[i]);
	rc = insert_fact(&l->runs[1], "image.modified", time, time_key, err);
	if (!rc && *key)
		rc = insert_fact(&l->runs[1], "image.path", l->path, *key, err);
	return rc;
}

/** One image whose file index can't be read doesn't end the search. */
static int skip(struct looking *l, struct vd_error *err)
{
	l->stats->n_skipped++;
	tool_say(0, l->path, "%s", err->text);
	*err = (struct vd_error)VD_ERROR_INIT;
	return 0;
}

/** It is at l->path. */
static int match_shown(struct looking *l, const struct catalog_image *image,
		       const struct catalog_known *known, struct vd_error *err)
{
	struct vd_query_subject subject = {.size = sizeof(subject), .n_runs = 2};
	struct vd_query_answer answer = {.size = sizeof(answer)};
	char time[TOOL_TIME_TEXT], time_key[TOOL_TIME_TEXT], *key = NULL;
	int rc;

	catalog_files_set_image(l->files, image->files, known->parts, known->parts_len);
	rc = take_facts(l, known, l->needs_all, err);
	if (!rc && (l->needs_all || l->selection.needs_unstored))
		rc = add_unstored(l, image, &key, time, time_key, err);
	for (size_t i = 0; i < 2; i++)
		subject.runs[i] = (struct vd_fact_run){l->runs[i].facts, l->runs[i].n};
	subject.now = l->plan->now;
	subject.files = answer_files;
	subject.hit = l->plan->args->is_set[OPT_COUNT] ? NULL : search_evidence_add;
	subject.user = l;
	if (!rc)
		rc = vd_query_match(l->plan->query, &subject, &answer, err);
	if (rc < 0 && catalog_files_is_image_wrong(l->files)) {
		rc = skip(l, err);
		answer.is_match = answer.lacks_file_index = false;
	}
	l->stats->n_no_index += !rc && answer.lacks_file_index;
	if (!rc && answer.is_match)
		rc = tell_hit(l, image, known, &subject, err);
	search_evidence_clear(&l->evidence);
	vd_meta_free(key);
	return rc;
}

static int match(void *user, const struct catalog_image *image, const struct catalog_known *known,
		 struct vd_error *err)
{
	struct looking *l = user;
	size_t next = 0;
	int rc = 0;

	while (!rc && !image->code &&
	       (l->path = catalog_places_show(l->places, image->path, &next)))
		rc = match_shown(l, image, known, err);
	return rc;
}

static int tell_hit(struct looking *l, const struct catalog_image *image,
		    const struct catalog_known *known, struct vd_query_subject *subject,
		    struct vd_error *err)
{
	struct search_hit hit = {.path = l->path};

	(void)image;
	(void)known;
	(void)err;
	hit.facts = l->evidence.facts;
	hit.n_facts = l->evidence.n;
	hit.runs = subject->runs;
	hit.n_runs = 2;
	l->stats->n_found++;
	if (!l->hit(l->user, &hit))
		return 0;
	l->stats->is_stopped = true;
	return 1;
}

/* ---- the whole ---- */

static int count_one(void *user, const struct catalog_image *image, struct vd_error *err)
{
	struct looking *l = user;
	size_t next = 0;

	(void)err;
	while (catalog_places_show(l->places, image->path, &next))
		l->stats->n_images++;
	return 0;
}

static int tell_unreadable(void *user, const struct catalog_image *image, struct vd_error *err)
{
	struct looking *l = user;
	size_t next = 0;

	(void)err;
	while ((l->path = catalog_places_show(l->places, image->path, &next))) {
		l->stats->n_skipped++;
		tool_say(0, l->path, "%s", image->error);
	}
	return 0;
}

static int count_images(struct looking *l, struct vd_error *err)
{
	struct catalog_store *store = l->store;
	int64_t n = 0;
	int rc;

	if (l->plan->n_paths || l->plan->args->n_excludes)
		rc = store->ops->each_image(store, catalog_places_only(l->places), count_one, l,
					    err);
	else
		rc = store->ops->n_images(store, &n, err);
	l->stats->n_images += (uint64_t)n;
	return rc ? rc : store->ops->each_unreadable(store, tell_unreadable, l, err);
}

static int keep_field(void *user, int64_t id, const char *name, struct vd_error *err)
{
	struct looking *l = user;
	size_t n = (size_t)id + 1;

	if (id <= 0 || id > 1 << 24)
		return damaged(err);
	if (n > l->n_fields) {
		char **fields = realloc(l->fields, n * sizeof(*fields));

		if (!fields)
			return no_memory(err);
		memset(fields + l->n_fields, 0, (n - l->n_fields) * sizeof(*fields));
		l->fields = fields;
		l->n_fields = n;
	}
	l->fields[id] = strdup(name);
	return l->fields[id] ? 0 : no_memory(err);
}

static int prepare(struct looking *l, struct vd_error *err)
{
	int rc = l->store->ops->begin_reading(l->store, err);

	if (!rc)
		rc = catalog_places_create(&l->places, l->plan->paths, l->plan->n_paths, err);
	if (!rc)
		catalog_places_exclude(l->places, l->plan->args->excludes,
				       l->plan->args->n_excludes);
	if (!rc)
		rc = catalog_files_create(&l->files, l->store, err);
	if (!rc)
		rc = l->store->ops->each_field(l->store, keep_field, l, err);
	if (!rc)
		rc = catalog_select(l->store, l->plan->query, l->plan->now, &l->selection, err);
	return rc;
}

static void end(struct looking *l)
{
	catalog_selection_free(&l->selection);
	search_evidence_free(&l->evidence);
	catalog_files_free(l->files);
	empty_cache(l);
	free(l->cache);
	for (size_t i = 0; i < l->n_fields; i++)
		free(l->fields[i]);
	free(l->fields);
	catalog_places_free(l->places);
	for (size_t i = 0; i < 2; i++)
		free(l->runs[i].facts);
	catalog_close(l->store);
}

int search_catalog(const struct search_plan *plan, search_hit_fn hit, void *user,
		   struct search_stats *stats)
{
	const char *name = plan->args->text[OPT_CATALOG];
	struct looking l = {.plan = plan, .hit = hit, .user = user, .stats = stats};
	struct vd_error err = VD_ERROR_INIT;
	int rc;

	_Static_assert(offsetof(struct looking, evidence) == 0, "what hears of hits gets it");
	memset(stats, 0, sizeof(*stats));
	l.needs_all = plan->args->is_set[OPT_FORMAT] || plan->args->is_set[OPT_SORT];
	rc = catalog_open(&l.store, name, CATALOG_READ, &err);
	if (!rc)
		rc = prepare(&l, &err);
	if (!rc)
		rc = count_images(&l, &err);
	if (!rc)
		rc = l.store->ops->each_known(
		    l.store, l.selection.is_all ? NULL : &l.selection.images, match, &l, &err);
	if (rc >= 0)
		rc = l.store->ops->end_reading(l.store, &err);
	end(&l);
	return rc < 0 ? tool_fail(name, &err) : TOOL_DONE;
}
