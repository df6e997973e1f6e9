/* SPDX-License-Identifier: MIT */
/*
 * Images for fuzzing: a valid one as base, changed by records of 16 bytes, with checksums that are
 * made right again. And what has to hold of any image, however wrong.
 */
#ifndef TEST_FUZZ_IMAGE_H
#define TEST_FUZZ_IMAGE_H

#include <vdisk/disk.h>

#include "fuzz.h"
#include "store.h"

#define FUZZ_RECORD 16u
#define FUZZ_BASES  7u

/** A valid image (made once; borrowed). */
const struct store *fuzz_base(unsigned int which);
const char *fuzz_base_name(unsigned int which);

/** Change `store` as the records say. */
void fuzz_patch(struct store *store, struct feed *records);
/** Bits of `keep`: leave the checksum wrong of header 0, 1, region table 0, 1, the log. */
void fuzz_fix(struct store *store, unsigned int keep);
/** One record, for seeds. */
enum fuzz_place {
	AT_HEADER_0,
	AT_HEADER_1,
	AT_HEADERS, /* both */
	AT_REGIONS_0,
	AT_REGIONS_1,
	AT_REGIONS, /* both */
	AT_TABLE,
	AT_ITEMS,
	AT_LOCATOR,
	AT_BAT,
	AT_BITMAP_ENTRY, /* of chunk 0, 2 MiB blocks, 512-byte sectors */
	AT_BITMAP,
	AT_LOG,
	AT_IDENT,
	AT_FILE,   /* offset in units of 512 */
	AT_LENGTH, /* the file's: value % 64 MiB */
	AT_N
};
void fuzz_put_record(uint8_t record[FUZZ_RECORD], enum fuzz_place place, uint32_t off,
		     uint64_t value, unsigned int width, unsigned int repeat);

/** A vd_io on a store that can't grow beyond FUZZ_MAX_FILE: then VD_ENOSPC. */
struct vd_io *fuzz_io(struct store *store, bool is_writable);
#define FUZZ_MAX_FILE ((uint64_t)1 << 30)

/** What vd_disk_check says. Never fails on a store that can be read. */
uint64_t fuzz_check_image(struct vd_io *io, bool *is_refused);
/**
 * Walk over the whole map of an open disk (up to `max` extents): extents follow each other and
 * agree with resolve; read what each begins and ends with. False: a part can't be read
 * (VD_ECORRUPT), which a clean image must not answer.
 */
bool fuzz_walk(struct vd_disk *disk, uint32_t max);
/** Open as `flags` says, without parents; *rc is what opening answered. NULL if it failed. */
struct vd_disk *fuzz_open(struct vd_io *io, uint32_t flags, int *rc);

#endif
