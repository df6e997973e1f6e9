/* SPDX-License-Identifier: MIT */
/* What guestgen.c and guestgen_fat.c share. */
#ifndef TEST_GUESTGEN_KINDS_H
#define TEST_GUESTGEN_KINDS_H

#include "guestgen.h"

uint64_t guestgen_get(const struct guestgen *guest, size_t at, size_t n_bytes);
void guestgen_text(struct guestgen *guest, size_t at, const char *text);
void guestgen_region(struct guestgen *guest, size_t at, size_t len);

size_t guestgen_fat_len(enum guest_kind kind);
void guestgen_make_fat(struct guestgen *guest);
void guestgen_make_exfat(struct guestgen *guest);
void guestgen_seal_exfat(struct guestgen *guest);

#endif
