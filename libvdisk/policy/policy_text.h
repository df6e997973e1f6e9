/* SPDX-License-Identifier: MIT */
/*
 * Texts of a decision, put together piece by piece and bounded: what an image says goes into them,
 * so control characters are written as \xNN, and long values are cut.
 */
#ifndef VD_POLICY_POLICY_TEXT_H
#define VD_POLICY_POLICY_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <vdisk/error.h>

#define POLICY_TEXT_MAX  (16u << 10) /* bytes of a text */
#define POLICY_VALUE_MAX 240u        /* bytes of a value in it */

/** Starts zeroed. Without memory, or when it is full, it takes no more; is_failed tells the
 *  former. */
struct policy_text {
	char *text;
	size_t len, room;
	bool is_failed, is_full;
};
void policy_text_free(struct policy_text *text);
/** Words of ours; values go in by policy_text_value. */
void policy_text_add(struct policy_text *text, const char *fmt, ...) VD_PRINTF(2, 3);
/** A text from outside, however long; control characters are escaped. */
void policy_text_words(struct policy_text *text, const char *words);
/** Lines that were put together in another text. */
void policy_text_lines(struct policy_text *text, const struct policy_text *from);
/** A value from outside, cut if it is long. */
void policy_text_value(struct policy_text *text, const char *value);
/** "4 GiB". */
void policy_text_size(struct policy_text *text, uint64_t bytes);
/** "2026-11-23T10:00:00Z". */
void policy_text_time(struct policy_text *text, int64_t time);
/** "3 days", "1 hour". */
void policy_text_duration(struct policy_text *text, uint64_t seconds);
/** Begin the next line, if there is one before. */
void policy_text_line(struct policy_text *text);
/** What it holds so far: "" if nothing. */
const char *policy_text_string(const struct policy_text *text);
/** Hand the text on; the caller frees with vd_free. NULL: no memory. */
char *policy_text_take(struct policy_text *text);

#define POLICY_AUTO_TEXT __attribute__((cleanup(policy_text_free)))

#endif
