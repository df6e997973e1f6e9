/* SPDX-License-Identifier: MIT */
/* A file with a log to replay: what the tests of the replay share. */
#ifndef TEST_VHDXLOG_H
#define TEST_VHDXLOG_H

#include "format/vhdx/vhdx_layout.h"
#include "vhdxgen.h"

#define LOG_ID "a0000000-0001-4002-8003-000000000004"
#define TARGET (4 * GEN_MIB) /* where the logs of the tests write */

/** A file of 8 MiB with 0xee in [4 MiB, 6 MiB), and a log that `header` names. */
struct image {
	struct store *store;
	struct vd_io *io;
	struct vhdx_header header;
};

/** A log of up to 3 MiB at 1 MiB; a longer one at 16 MiB, and a file of 64 MiB. */
void image_make(struct image *image, uint32_t log_len);
void image_drop(struct image *image);
/** Add an entry. Its file offsets are those of the file unless they are given. */
void image_add(struct image *image, const struct gen_entry *entry);
/** These abort if the library does. */
struct vhdx_replay *image_scan(struct image *image);
struct vd_io *image_view(struct image *image);
/** Answers the sequence number of the head. */
uint64_t image_apply(struct image *image);

#endif
