/* SPDX-License-Identifier: MIT */
/*
 * What the structures of a VHDX mean, once decoded: host byte order, bounds checked. Everything
 * between the bytes of vhdx_ondisk.h and the code that works with an image speaks in these.
 */
#ifndef VD_VHDX_LAYOUT_H
#define VD_VHDX_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include <vdisk/disk.h>
#include <vdisk/sys/format.h>

#include "base/checked.h"
#include "base/guid.h"
#include "base/span.h"

#define VHDX_HEADER_SIZE       4096u
#define VHDX_HEADER_OFF(slot)  ((slot) ? 128u * 1024 : 64u * 1024)
#define VHDX_REGIONS_SIZE      65536u
#define VHDX_REGIONS_OFF(copy) ((copy) ? 256u * 1024 : 192u * 1024)
#define VHDX_HEAD_END          VD_MIB     /* first byte that structures may take */
#define VHDX_PAGE              4096u      /* what the log moves */
#define VHDX_MAX_LOG           (1u << 30) /* a bound of ours */
#define VHDX_MAX_SIZE          (64 * VD_TIB)
#define VHDX_BITMAP_SIZE       VD_MIB
#define VHDX_MAX_ITEM          (1u << 20)

/** Payload block states (MS-VHDX 2.5.1.1). Sector bitmap blocks use NOT_PRESENT and PRESENT. */
enum vhdx_state {
	VHDX_NOT_PRESENT = 0,
	VHDX_UNDEFINED = 1,
	VHDX_ZERO = 2,
	VHDX_UNMAPPED = 3,
	VHDX_UNMAPPED_V095 = 5, /* as old files have it; treated as UNMAPPED */
	VHDX_PRESENT = 6,
	VHDX_PARTIAL = 7,
};
#define VHDX_ENTRY_STATE(e)    ((enum vhdx_state)((e)&7))
#define VHDX_ENTRY_OFF(e)      ((e) & ~(uint64_t)0xfffff)
#define VHDX_ENTRY_RESERVED(e) ((e) & (uint64_t)0xffff8)

/** A header (MS-VHDX 2.2.2). */
struct vhdx_header {
	uint64_t seq;
	struct vd_guid file_write_id, data_write_id, log_id;
	uint16_t log_version, version;
	uint32_t log_len;
	uint64_t log_off;
	uint32_t checksum; /* as found; encoding computes its own */
};

/** Both headers of a file. */
struct vhdx_headers {
	struct vhdx_header slot[2];
	bool is_valid[2]; /* signature and checksum */
	int current;      /* 0 or 1: the slot that counts */
};

struct vhdx_region {
	struct vd_guid id;
	uint64_t off;
	uint32_t len;
	bool is_required;
};

/** The region table (MS-VHDX 2.2.3). */
struct vhdx_regions {
	struct vhdx_region bat, metadata;
	struct vhdx_region *unknown; /* optional ones that we carry along */
	uint32_t n_unknown;
	bool is_valid[2];
	bool differ; /* both copies are valid and not equal: copy 0 counts */
};

#define VHDX_ITEM_USER         1u
#define VHDX_ITEM_VIRTUAL_DISK 2u
#define VHDX_ITEM_REQUIRED     4u

struct vhdx_item {
	struct vd_guid id;
	uint32_t off; /* from the start of the region; 0 with len 0 */
	uint32_t len;
	uint32_t flags;
};

/** What the metadata region says (MS-VHDX 2.6). */
struct vhdx_params {
	uint32_t block_size;
	bool leave_allocated, has_parent;
	uint64_t virtual_size;
	struct vd_guid disk_id;
	uint32_t logical_sector_size, physical_sector_size;
	struct vhdx_item *items; /* the whole table, in its order */
	uint32_t n_items;
	uint32_t n_unknown;            /* items that we carry along */
	struct vd_parent_hint *parent; /* iff has_parent */
};

/** Numbers that follow from the parameters (MS-VHDX 2.5). */
struct vhdx_geometry {
	uint32_t block_bits; /* log2 of the block size */
	uint32_t ratio_bits; /* log2 of the chunk ratio */
	uint64_t n_blocks;   /* payload blocks */
	uint64_t n_chunks;
	uint64_t n_entries;   /* BAT entries in use */
	uint32_t sector_bits; /* log2 of the logical sector */
};

static inline uint64_t vhdx_payload_index(const struct vhdx_geometry *g, uint64_t block)
{
	return block + (block >> g->ratio_bits);
}

static inline uint64_t vhdx_bitmap_index(const struct vhdx_geometry *g, uint64_t chunk)
{
	return (chunk << g->ratio_bits) + chunk + ((uint64_t)1 << g->ratio_bits);
}

/* vhdx_geometry.c */
void vhdx_geometry_init(struct vhdx_geometry *g, const struct vhdx_params *params);

/* vhdx_decode.c: bytes to meaning. Spans may be hostile. Errors name the offset in the file. */

/** False: no valid signature or checksum. Fields are filled in all the same. */
bool vhdx_header_decode(struct vd_span bytes, struct vhdx_header *header);
/**
 * Choose the current header, and check its fields (version, log length and place). A log of length
 * 0 passes if log_id is nil: such an image can be read, but has no place to commit a change.
 */
int vhdx_headers_choose(struct vhdx_headers *headers, struct vd_error *err);
/** Signature and checksum of one copy of the region table. */
bool vhdx_regions_is_valid(struct vd_span bytes);
/** One copy of the region table; false in *is_valid: signature or checksum is wrong. Errors are for
 *  rules broken by a valid table (overlap, unknown required region ...). */
int vhdx_regions_decode(struct vd_span bytes, uint64_t at, struct vhdx_regions *regions,
			bool *is_valid, struct vd_error *err);
/** The metadata table: checks every entry's bounds, uniqueness, overlap; params->items is filled
 *  (vhdx_params_free takes it back, also after an error). */
int vhdx_items_decode(struct vd_span table, const struct vhdx_region *region,
		      struct vhdx_params *params, struct vd_error *err);
/** One known item's content into its member of params. */
int vhdx_item_decode(const struct vhdx_item *item, struct vd_span content,
		     const struct vhdx_region *region, struct vhdx_params *params,
		     struct vd_error *err);
int vhdx_locator_decode(struct vd_span content, uint64_t at, struct vd_parent_hint *hint,
			struct vd_error *err);

/* vhdx_encode.c: meaning to bytes. */
void vhdx_header_encode(const struct vhdx_header *header, uint8_t bytes[VHDX_HEADER_SIZE]);
void vhdx_regions_encode(const struct vhdx_regions *regions, uint8_t bytes[VHDX_REGIONS_SIZE]);
/** Bytes of a log entry with `n` data descriptors. */
size_t vhdx_entry_size(size_t n);
/**
 * A log entry of `n` pages into `bytes` (vhdx_entry_size(n) of them). pages[i] goes to file offset
 * offs[i]. tail: byte offset in the log.
 */
void vhdx_entry_encode(uint8_t *bytes, uint64_t seq, uint32_t tail, struct vd_guid log_id,
		       uint64_t flushed_off, uint64_t last_off, const uint64_t *offs,
		       const uint8_t (*pages)[VHDX_PAGE], size_t n);
/** The locator item; *len is what it took of `size`. Paths in Windows form. */
bool vhdx_locator_encode(const struct vd_parent_hint *hint, uint8_t *bytes, size_t size,
			 size_t *len);

/* vhdx_read.c: from a store to decoded structures, in the order of trust. */
int vhdx_headers_read(struct vd_io *io, struct vhdx_headers *headers, struct vd_error *err);
/** The same of a store that is known to be a VHDX. */
int vhdx_slots_read(struct vd_io *io, struct vhdx_headers *headers, struct vd_error *err);
/** Needs the current header, to see that no region overlaps the log. */
int vhdx_regions_read(struct vd_io *io, const struct vhdx_header *header,
		      struct vhdx_regions *regions, struct vd_error *err);
/** For who only reads: the second table only if the first can't be used; `differ` stays false. */
int vhdx_regions_look(struct vd_io *io, const struct vhdx_header *header,
		      struct vhdx_regions *regions, struct vd_error *err);
int vhdx_params_read(struct vd_io *io, const struct vhdx_regions *regions,
		     struct vhdx_params *params, struct vd_error *err);
void vhdx_regions_free(struct vhdx_regions *regions);
void vhdx_params_free(struct vhdx_params *params);
/** Is it a VHDX at all? The creator field of the file type identifier (unless NULL) as UTF-8. */
int vhdx_creator_read(struct vd_io *io, char *creator, size_t size, struct vd_error *err);

/* vhdx_replay.c: the log of an image that was not closed (MS-VHDX 2.3.3). */
struct vhdx_replay;
/**
 * Find the active sequence of the log that `header` names, and index what it would write: page ->
 * place in the log. VD_ECORRUPT if there is none. Doesn't write. Memory is bounded by the number
 * of pages in the log, not by their bytes.
 */
int vhdx_replay_scan(struct vhdx_replay **out, struct vd_io *io, const struct vhdx_header *header,
		     struct vd_error *err);
void vhdx_replay_free(struct vhdx_replay *replay);
/** Sequence number of the newest entry of the active sequence. */
uint64_t vhdx_replay_seq(const struct vhdx_replay *replay);
/** Write it in place, extend the file as the newest entry demands, sync. */
int vhdx_replay_apply(struct vhdx_replay *replay, struct vd_io *io, struct vd_error *err);
/** A read-only store that shows `io` as it would be after the replay. Takes the replay over, also
 *  if it fails. */
int vhdx_replay_view(struct vd_io **out, struct vhdx_replay *replay, struct vd_io *io,
		     struct vd_error *err);

/* vhdx_create.c, vhdx_check.c */
int vhdx_create(struct vd_io *io, const struct vd_create_opts *opts,
		const struct vd_format_parent *parent, struct vd_error *err);
int vhdx_check(struct vd_io *io, vd_finding_fn fn, void *user, uint64_t *n_errors,
	       struct vd_error *err);

#endif
