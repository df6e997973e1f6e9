/* SPDX-License-Identifier: MIT */
/*
 * What vdtool says: exit codes, errors and notes on stderr, text for people with everything that
 * comes from outside made harmless, and JSON for programs.
 */
#ifndef VDTOOL_OUTPUT_H
#define VDTOOL_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <vdisk/error.h>

#include "options/options.h"

enum tool_exit {
	TOOL_DONE = 0,
	TOOL_FAILED = 1,
	TOOL_USAGE = 2,
	TOOL_CORRUPT = 3,
	TOOL_DENIED = 4,
	TOOL_BUSY = 5,
	TOOL_DIFFERS = 6,
};

/** The exit code for a VD_E*. */
int tool_exit_for(int code);
/** The worse of two, in the order 2, 3, 1, 5, 4, 6, 0. */
int tool_exit_worse(int a, int b);

/** "vdtool: IMAGE: text" on stderr. Returns tool_exit_for(err->code). */
int tool_fail(const char *image, const struct vd_error *err);
/** The same in own words; returns `exit_code`. `image` may be NULL. */
int tool_say(int exit_code, const char *image, const char *fmt, ...) VD_PRINTF(3, 4);
/** Wrong usage: says so and points to --help; returns TOOL_USAGE. */
int tool_usage(const struct tool_command *command, const char *fmt, ...) VD_PRINTF(2, 3);
/** "vdtool: note: ..." unless --quiet. */
void tool_note(const char *fmt, ...) VD_PRINTF(1, 2);
extern bool tool_is_quiet;
/** What the last tool_fail or tool_say said. */
extern struct vd_error tool_last_error;
/** Show the library's messages as notes, each once. */
void tool_hear_messages(void);

/** Write `text` so that nothing in it can steer a terminal: control characters, invalid UTF-8 and
 *  marks that turn the direction of writing come out as \x.. and \u{....}. */
void tool_print_safe(FILE *f, const char *text);
/** The same as a copy, free() it; NULL: no memory. */
char *tool_safe_text(const char *text);
/** "2 MiB", "3.3 GiB", "512 bytes". */
#define TOOL_SIZE_TEXT 32
const char *tool_size_format(uint64_t bytes, char text[TOOL_SIZE_TEXT]);
/** Lower-case text of a GUID in RFC 4122 order. */
#define TOOL_UUID_TEXT 37
const char *tool_uuid_format(const uint8_t uuid[16], char text[TOOL_UUID_TEXT]);

/** JSON: one array of objects, or with --jsonl one object a line. Off without those options. */
void tool_json_begin(const struct tool_args *args);
bool tool_json_is_on(void);
/** A new object that begins with the path (and path_b64 where it isn't UTF-8). */
json_t *tool_json_object(const char *path);
/** Set `key` to text from outside: bytes that aren't UTF-8 come as U+FFFD. NULL gives null. */
void tool_json_set_text(json_t *object, const char *key, const char *text);
void tool_json_set_path(json_t *object, const char *key, const char *path);
/** VD_NO_OFFSET, and what no reader of JSON could hold (above 2^63-1), gives null. */
void tool_json_set_number(json_t *object, const char *key, uint64_t value);
void tool_json_set_error(json_t *object, const struct vd_error *err);
/** Print the object as the next one, and free it. */
void tool_json_put(json_t *object);
/** {path, error}: an image that could not be done. */
void tool_json_put_error(const char *path, const struct vd_error *err);
/** An object too big for memory: its last key is an array whose items come one by one. `more` is
 *  printed behind the array, and freed. */
void tool_json_stream_begin(const char *path, const char *key);
void tool_json_stream_item(json_t *item);
void tool_json_stream_end(json_t *more);
/** The end of the output. An image that failed and has no object yet gets {path, error}. */
void tool_json_end(const struct tool_args *args, int exit_code);

/** Flush stdout; a reader that has left (EPIPE) isn't worth a word. Returns an exit code. */
int tool_stdout_finish(int exit_code);
/** What a failed write to stdout means: says it, or ends quietly on EPIPE. */
int tool_stdout_failed(int sys_errno);

#endif
