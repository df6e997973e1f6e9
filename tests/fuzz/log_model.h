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

#define LOG_SECTORS    256u
#define LOG_MAX_WRITES 4096u

struct log_write {
	uint64_t off, len;
	bool is_data;
	uint8_t page[4096];
};

struct log_model {
	uint8_t *log; /* LOG_SECTORS of 4 KiB, borrowed */
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
void log_model_free(struct log_model *model);

#endif
