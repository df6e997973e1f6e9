/* SPDX-License-Identifier: MIT */
/*
 * The history as bytes: entries one behind the other, each holding the digest of the one before.
 * Pure: knows no disk. The layout and the rules of the chain stand in docs/metadata-format.md.
 */
#ifndef VD_META_CHAIN_H
#define VD_META_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include <vdisk/meta.h>

#include "base/bytes.h"
#include "base/span.h"

#define META_CHAIN_MAX  (128u << 10) /* more is rolled up when an entry is added */
#define META_CHAIN_TEXT 1024u        /* bytes of a text; longer ones are cut */
#define META_N_TEXTS    6u

struct meta_disk_entry_head {
	struct vd_le32 len, reserved; /* len: of all, with texts and digest */
	struct vd_le64 number, n_rolled_up, time;
	uint8_t previous[32];
	struct vd_le16 text_len[META_N_TEXTS];
	struct vd_le32 reserved2;
};
_Static_assert(sizeof(struct meta_disk_entry_head) == 80, "head of an entry");

/** An entry in memory; texts are NUL-terminated, "" if absent. */
struct meta_link {
	uint64_t number, n_rolled_up;
	int64_t time;
	uint8_t previous[32], digest[32];
	char text[META_N_TEXTS][META_CHAIN_TEXT + 1]; /* actor, host, tool, operation, parameters,
							 outcome */
};

/** Walks over a history. */
struct meta_walk {
	struct vd_span rest;
	uint8_t previous[32]; /* what the next one has to hold */
	uint64_t next_number; /* 0: nothing known yet */
	bool is_first;
};
void meta_walk_begin(struct meta_walk *walk, struct vd_span raw);
/**
 * The next entry. *is_linked: its digest is right, it holds the digest of the one before and has
 * the number that follows. VD_ENOENT: there is no more; VD_ECORRUPT: what follows isn't an entry.
 */
int meta_walk_next(struct meta_walk *walk, struct meta_link *link, bool *is_linked,
		   struct vd_error *err);

/** Add an entry to *raw (vd_realloc'd), behind the last; rolls up the older half if it gets too
 *  long. Fields of *link that the chain decides are set. */
int meta_chain_add(uint8_t **raw, size_t *len, struct meta_link *link, struct vd_error *err);
/** Number and digest of the last entry; 0 if there is none. */
void meta_chain_head(struct vd_span raw, uint64_t *number, uint8_t digest[32]);
#define META_TIME_TEXT 32
/** RFC 3339, UTC; the year 1970 for a time that has no such form. */
void meta_format_time(int64_t when, char text[META_TIME_TEXT]);
/** Put `text` (may be NULL) in, cut at a character, without what a text can't hold. */
void meta_link_set(struct meta_link *link, unsigned which, const char *text);
/** As an XML document of category history. The caller frees with vd_free. */
int meta_chain_xml(struct vd_span raw, char **xml, size_t *len, struct vd_error *err);

#endif
