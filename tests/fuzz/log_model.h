/* SPDX-License-Identifier: MIT */
/*
 * A second reading of MS-VHDX 2.3: simple, slow, and by other means than the library's. It takes
 * a log in memory and answers what a replay writes, in order.
 */
#ifndef TEST_LOG_MODEL_H
#define TEST_LOG_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_SECTORS_MAX 512u
#define LOG_WRITES_MAX  4096u

struct log_write {
	uint64_t off, len;
	const uint8_t *desc, *data; /* NULL: zeros */
};

struct log_model {
	uint8_t *log; /* n_sectors of 4 KiB, borrowed */
	uint32_t n_sectors;
	uint64_t log_off;
	uint8_t log_id[16];
	/* Answers */
	bool has_sequence;
	bool is_ambiguous; /* two sequences with the same highest number */
	bool is_refused;   /* it writes where a log may not write */
	uint64_t seq, flushed_off, last_off;
	struct log_write *writes;
	size_t n_writes;
};

void log_model_read(struct log_model *model);
/** What one write puts into its page. */
void log_write_page(const struct log_write *write, uint8_t page[4096]);
void log_model_free(struct log_model *model);

#endif
