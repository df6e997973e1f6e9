/* SPDX-License-Identifier: MIT */
/*
 * JSON for programs. The frame (the array, or the line breaks of --jsonl) is printed as objects
 * come, so that neither a hundred thousand images nor one image with millions of extents has to
 * fit into memory.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"

static enum { FRAME_NONE, FRAME_ARRAY, FRAME_LINES } mode;
static bool has_object; /* one was printed already */
static bool has_item;   /* within a streamed array */

/** Letters of all scripts as they are, for programs; on a terminal none that could steer it. */
static size_t dump_flags(size_t more)
{
	return JSON_PRESERVE_ORDER | more | (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0);
}

void tool_json_begin(const struct tool_args *args)
{
	mode = args->is_set[OPT_JSONL]  ? FRAME_LINES
	       : args->is_set[OPT_JSON] ? FRAME_ARRAY
					: FRAME_NONE;
	if (mode == FRAME_ARRAY)
		fputs("[", stdout);
}

bool tool_json_is_on(void)
{
	return mode != FRAME_NONE;
}

/** Allocation failure: the output would be wrong without a word. */
static void *must(void *p)
{
	if (!p) {
		tool_say(TOOL_FAILED, NULL, "out of memory");
		exit(TOOL_FAILED);
	}
	return p;
}

/** `text` as a JSON string; each byte that isn't part of valid UTF-8 becomes U+FFFD. */
static json_t *text_to_json(const char *text, bool *is_exact)
{
	json_t *whole = json_string(text);
	size_t len = strlen(text), n = 0;
	char *out;

	*is_exact = whole != NULL;
	if (whole)
		return whole;
	out = must(malloc(3 * len + 1));
	for (size_t i = 0; i < len;) {
		size_t step = 0;

		/* Jansson is the judge of what it accepts. */
		for (size_t k = 1; k <= 4 && i + k <= len && !step; k++) {
			json_t *piece = json_stringn(text + i, k);

			if (piece)
				step = k;
			json_decref(piece);
		}
		memcpy(out + n, step ? text + i : "\xef\xbf\xbd", step ? step : 3);
		n += step ? step : 3;
		i += step ? step : 1;
	}
	whole = must(json_stringn(out, n));
	free(out);
	return whole;
}

static char *base64(const char *text)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *s = (const unsigned char *)text;
	size_t len = strlen(text);
	char *out = must(malloc((len + 2) / 3 * 4 + 1)), *p = out;

	for (size_t i = 0; i < len; i += 3) {
		unsigned long v = (unsigned long)s[i] << 16;

		if (i + 1 < len)
			v |= (unsigned long)s[i + 1] << 8;
		if (i + 2 < len)
			v |= s[i + 2];
		*p++ = digits[v >> 18 & 63];
		*p++ = digits[v >> 12 & 63];
		*p++ = i + 1 < len ? digits[v >> 6 & 63] : '=';
		*p++ = i + 2 < len ? digits[v & 63] : '=';
	}
	*p = '\0';
	return out;
}

void tool_json_set_text(json_t *object, const char *key, const char *text)
{
	bool is_exact;

	if (json_object_set_new(object, key, text ? text_to_json(text, &is_exact) : json_null()))
		must(NULL);
}

void tool_json_set_path(json_t *object, const char *key, const char *path)
{
	bool is_exact;
	char name[64];
	char *coded;

	if (json_object_set_new(object, key, text_to_json(path, &is_exact)))
		must(NULL);
	if (is_exact)
		return;
	snprintf(name, sizeof(name), "%s_b64", key);
	coded = base64(path);
	if (json_object_set_new(object, name, json_string(coded)))
		must(NULL);
	free(coded);
}

void tool_json_set_number(json_t *object, const char *key, uint64_t value)
{
	json_t *number = value > INT64_MAX ? json_null() : json_integer((json_int_t)value);

	if (json_object_set_new(object, key, number))
		must(NULL);
}

json_t *tool_json_object(const char *path)
{
	json_t *object = must(json_object());

	if (path)
		tool_json_set_path(object, "path", path);
	return object;
}

void tool_json_set_error(json_t *object, const struct vd_error *err)
{
	json_t *error = must(json_object());

	tool_json_set_text(error, "code", vd_code_name(err->code));
	tool_json_set_text(error, "text", err->text);
	if (json_object_set_new(object, "error", error))
		must(NULL);
}

/** What stands between this object and the one before. */
static void begin_object(void)
{
	if (mode == FRAME_ARRAY)
		fputs(has_object ? ",\n" : "\n", stdout);
	has_object = true;
}

static void end_object(void)
{
	if (mode == FRAME_LINES) {
		fputc('\n', stdout);
		fflush(stdout); /* as found: who reads us may be waiting for it */
	}
}

void tool_json_put(json_t *object)
{
	begin_object();
	json_dumpf(object, stdout, dump_flags(mode == FRAME_LINES ? JSON_COMPACT : JSON_INDENT(2)));
	json_decref(object);
	end_object();
}

void tool_json_put_error(const char *path, const struct vd_error *err)
{
	json_t *object;

	if (!tool_json_is_on())
		return;
	object = tool_json_object(path);
	tool_json_set_error(object, err);
	tool_json_put(object);
}

/** The members of `object` without its braces. */
static void dump_members(json_t *object)
{
	char *text = must(json_dumps(object, dump_flags(JSON_COMPACT)));
	size_t len = strlen(text);

	fwrite(text + 1, 1, len - 2, stdout);
	free(text);
	json_decref(object);
}

void tool_json_stream_begin(const char *path, const char *key)
{
	begin_object();
	fputc('{', stdout);
	dump_members(tool_json_object(path));
	printf(",\"%s\":[", key);
	has_item = false;
}

void tool_json_stream_item(json_t *item)
{
	if (has_item)
		fputc(',', stdout);
	if (mode == FRAME_ARRAY)
		fputc('\n', stdout);
	has_item = true;
	json_dumpf(item, stdout, dump_flags(JSON_COMPACT));
	json_decref(item);
}

void tool_json_stream_end(json_t *more)
{
	fputc(']', stdout);
	if (more && json_object_size(more)) {
		fputc(',', stdout);
		dump_members(more);
	} else {
		json_decref(more);
	}
	fputc('}', stdout);
	end_object();
}

void tool_json_end(const struct tool_args *args, int exit_code)
{
	if (exit_code && !has_object && args->n_operands > 0)
		tool_json_put_error(args->operands[0], &tool_last_error);
	if (mode == FRAME_ARRAY)
		fputs(has_object ? "\n]\n" : "]\n", stdout);
	mode = FRAME_NONE;
}
