/* SPDX-License-Identifier: MIT */
/*
 * The facts record: what the documents say, as sorted tuples, with a directory of the records that
 * it was made beside and the head of the history. Pure: knows no disk. The layout stands in
 * docs/metadata-format.md.
 */
#ifndef VD_META_FACTS_H
#define VD_META_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include <vdisk/meta.h>

#include "base/bytes.h"
#include "base/span.h"

#define META_FACTS_VERSION 1u

struct meta_disk_facts {
	struct vd_le32 version, head_len, n_records, n_facts, strings_len, reserved;
	struct vd_le64 history_len;
	uint8_t history_head[32];
};
_Static_assert(sizeof(struct meta_disk_facts) == 64, "head of the facts");

struct meta_disk_entry {
	uint8_t type, flags;
	struct vd_le16 reserved;
	struct vd_le32 n_parts;
	struct vd_le64 raw_len, stored_len;
	uint8_t digest[32];
	struct vd_le32 kind, name, media, reserved2;
};
_Static_assert(sizeof(struct meta_disk_entry) == 72, "entry of the directory");

struct meta_disk_fact {
	struct vd_le32 field, value, key, group;
};
_Static_assert(sizeof(struct meta_disk_fact) == 16, "a fact");

/** A record as the directory has it. */
struct meta_entry {
	enum vd_record_type type;
	bool is_disk_scope;
	uint32_t n_parts;
	uint64_t raw_len, stored_len; /* stored: with the heads */
	uint8_t digest[32];
	const char *kind, *name, *media;
};

/** Facts in memory. All texts lie in `pool`. */
struct meta_facts {
	char *pool;
	struct vd_fact *facts;
	size_t n_facts;
	struct meta_entry *entries;
	size_t n_entries;
	uint64_t history_len; /* number of the last entry of the history; 0: none */
	uint8_t history_head[32];
};
void meta_facts_free(struct meta_facts *facts);

/**
 * From the raw bytes of the record. VD_ECORRUPT: a rule is broken: lengths that don't add up, texts
 * outside of the pool, facts that aren't sorted, more than VD_META_FACTS_MAX.
 */
int meta_facts_decode(struct meta_facts *out, struct vd_span raw, struct vd_error *err);
/** To raw bytes (vd_free). The facts are sorted already. */
int meta_facts_encode(const struct meta_facts *facts, uint8_t **raw, size_t *len,
		      struct vd_error *err);
/** By field, key, value, group. */
int meta_fact_compare(const struct vd_fact *a, const struct vd_fact *b);

/** Facts being gathered. */
struct meta_gather {
	char *pool;
	size_t pool_len, pool_room;
	struct meta_disk_fact *at; /* offsets in the pool */
	size_t n, n_room;
	uint32_t group_base, group_top;
};
/** VD_ENOSPC: more than VD_META_FACTS_MAX. `group` 0, or its number within this document. */
int meta_gather_add(struct meta_gather *gather, const char *field, const char *value,
		    const char *key, uint32_t group, struct vd_error *err);
/** The groups that follow belong to the next document. */
void meta_gather_next(struct meta_gather *gather);
/** Sorted facts, without doubles; the gather is empty afterwards, also on failure. */
int meta_gather_finish(struct meta_gather *gather, struct meta_facts *out, struct vd_error *err);
void meta_gather_drop(struct meta_gather *gather);

#endif
