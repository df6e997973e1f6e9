/* SPDX-License-Identifier: MIT */
/*
 * Makes VHDX images from plain fields, right or wrong, always with right checksums unless told
 * otherwise. Shares no code with the library: what it writes is what MS-VHDX says, once more.
 *
 *   struct vhdxgen g;
 *   vhdxgen_init(&g);            a small valid dynamic image
 *   g.virtual_size = 1000;       one thing wrong
 *   vhdxgen_emit(&g, store);     into an empty store
 */
#ifndef TEST_VHDXGEN_H
#define TEST_VHDXGEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store.h"

#define GEN_MIB       ((uint64_t)1 << 20)
#define GEN_NIL       "00000000-0000-0000-0000-000000000000"

#define GEN_BAT       "2dc27766-f623-4200-9d64-115e9bfd4a08"
#define GEN_METADATA  "8b7ca206-4790-4b9a-b8fe-575f050f886e"
#define GEN_PARAMS    "caa16737-fa36-4d43-b3b6-33f0aa44e76b"
#define GEN_SIZE      "2fa54224-cd1b-4876-b211-5dbed83bf4b8"
#define GEN_DISK_ID   "beca12ab-b2e6-4523-93ef-c309e000c746"
#define GEN_LOGICAL   "8141bf1d-a96f-4709-ba47-f233a8faab5f"
#define GEN_PHYSICAL  "cda348c7-445d-4471-9cc9-e9885251c556"
#define GEN_LOCATOR   "a8d35f2d-b30b-454d-abf7-d3d84834ab0c"
#define GEN_LOC_TYPE  "b04aefb7-d19e-4a81-b789-25b8e9445913"
#define GEN_UNKNOWN   "11111111-2222-3333-4444-555555555555"
#define GEN_UNKNOWN_2 "11111111-2222-3333-4444-666666666666"

/** GUIDs are texts in the printed form. */
struct gen_header {
	char signature[5];
	bool is_bad; /* wrong checksum */
	uint64_t seq;
	const char *file_write_id, *data_write_id, *log_id;
	uint16_t log_version, version;
	uint32_t log_len;
	uint64_t log_off;
	uint8_t reserved; /* fills the last byte */
};

struct gen_region {
	const char *id;
	uint64_t off;
	uint32_t len, flags;
};

struct gen_regions {
	char signature[5];
	bool is_bad;
	uint32_t reserved, n_extra; /* n_extra: EntryCount is that much too high */
	uint8_t space;              /* the last byte of the table */
	struct gen_region at[24];
	uint32_t n;
};

/** The content comes from the fields below for the six known GUIDs, else it is `fill`. */
struct gen_item {
	const char *id;
	uint32_t off, len, flags, reserved;
	uint8_t fill;
};

struct gen_pair {
	const char *key, *value;     /* ASCII */
	uint32_t key_off, value_off; /* 0: where they are */
	uint32_t key_len, value_len; /* 0: as they are; GEN_EMPTY: 0 */
	bool has_nul, is_surrogate;  /* the value ends with a NUL, with half a pair */
};
#define GEN_EMPTY UINT32_MAX

struct gen_desc {
	bool is_zero;
	uint64_t off, len; /* len: of zeros */
	const uint8_t *page;
	uint8_t fill;      /* if page is NULL */
	uint64_t seq;      /* 0: the entry's */
	uint32_t reserved; /* of a zero descriptor */
};

/** An entry of the log at byte `at` of the ring. */
struct gen_entry {
	char signature[5];
	bool is_bad;
	uint32_t at, tail;
	uint64_t seq;
	const char *log_id; /* NULL: that of header 1 */
	uint64_t flushed_off, last_off;
	uint32_t reserved, n_extra_descs, n_extra_bytes; /* counts that lie */
	uint64_t data_seq;                               /* in the data sectors; 0: the entry's */
	const struct gen_desc *descs;
	uint32_t n_descs;
};

struct gen_bat {
	uint64_t index, entry;
};

/** A byte written last, wherever it is. */
struct gen_poke {
	uint64_t off;
	uint8_t byte;
};

struct vhdxgen {
	char signature[9];
	const char *creator; /* ASCII */
	struct gen_header header[2];
	struct gen_regions regions[2];
	/* metadata region */
	char metadata_signature[9];
	uint64_t metadata_off;
	uint16_t metadata_reserved;
	uint32_t n_extra_items;
	struct gen_item item[16];
	uint32_t n_items;
	/* contents of the known items */
	uint32_t block_size, params_flags;
	uint64_t virtual_size;
	const char *disk_id;
	uint32_t logical_sector_size, physical_sector_size;
	const char *locator_type;
	uint16_t locator_reserved;
	uint32_t n_extra_pairs;
	struct gen_pair pair[8];
	uint32_t n_pairs;
	/* BAT, log, file */
	uint64_t bat_off;
	struct gen_bat bat[32];
	uint32_t n_bat;
	const struct gen_entry *entries;
	uint32_t n_entries;
	struct gen_poke poke[8];
	uint32_t n_pokes;
	uint64_t file_len;
};

/** Dynamic, 64 MiB, 2 MiB blocks, 512/4096; log 1 MiB at 1 MiB, metadata 1 MiB at 2 MiB, BAT 1 MiB
 *  at 3 MiB; blocks 0 and 5 present, at 4 and 6 MiB. */
void vhdxgen_init(struct vhdxgen *g);
/** The same as a child: block 0 present, block 5 partially (its sectors 0 to 3), bitmap at
 *  8 MiB, a locator. */
void vhdxgen_init_child(struct vhdxgen *g);
/** Find an item by its GUID; never NULL for those that vhdxgen_init made. */
struct gen_item *vhdxgen_item(struct vhdxgen *g, const char *id);
/** One more item; returns it. */
struct gen_item *vhdxgen_add_item(struct vhdxgen *g, const char *id, uint32_t off, uint32_t len,
				  uint32_t flags);
/** One more region, in both copies of the table. */
void vhdxgen_add_region(struct vhdxgen *g, const char *id, uint64_t off, uint32_t len,
			uint32_t flags);
void vhdxgen_add_bat(struct vhdxgen *g, uint64_t index, uint64_t entry);
void vhdxgen_poke(struct vhdxgen *g, uint64_t off, uint8_t byte);
/** Write the image into an empty store. */
void vhdxgen_emit(const struct vhdxgen *g, struct store *store);

/** Bytes of an entry (a multiple of 4 KiB). */
size_t gen_entry_size(const struct gen_entry *entry);
/** Write one entry into the ring of `log_len` bytes at `log_off`. */
void gen_entry_emit(const struct gen_entry *entry, const char *log_id, struct store *store,
		    uint64_t log_off, uint32_t log_len);
/** The text of a GUID as the 16 bytes on disk. */
void gen_guid(const char *text, uint8_t bytes[16]);
uint32_t gen_crc32c(const uint8_t *bytes, size_t len);

#endif
