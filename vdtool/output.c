/* SPDX-License-Identifier: MIT */
/* Exit codes, errors, notes and text for people. JSON is in output_json.c. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"
#include "policed.h"

bool tool_is_quiet;
struct vd_error tool_last_error = VD_ERROR_INIT;

int tool_exit_for(int code)
{
	switch (code) {
	case VD_OK:
		return TOOL_DONE;
	case VD_EINVAL:
		return TOOL_USAGE;
	case VD_ECORRUPT:
		return TOOL_CORRUPT;
	case VD_EDENIED:
		return TOOL_DENIED;
	case VD_EBUSY:
		return TOOL_BUSY;
	default:
		return TOOL_FAILED;
	}
}

/** The other way round, for errors that are the tool's own. */
static int code_for(int exit_code)
{
	switch (exit_code) {
	case TOOL_USAGE:
		return VD_EINVAL;
	case TOOL_CORRUPT:
		return VD_ECORRUPT;
	case TOOL_DENIED:
		return VD_EDENIED;
	case TOOL_BUSY:
		return VD_EBUSY;
	default:
		return VD_EIO;
	}
}

int tool_exit_worse(int a, int b)
{
	static const int best_first[] = {TOOL_DONE,   TOOL_DIFFERS, TOOL_DENIED, TOOL_BUSY,
					 TOOL_FAILED, TOOL_CORRUPT, TOOL_USAGE};
	size_t n = sizeof(best_first) / sizeof(best_first[0]);
	size_t rank_a = n, rank_b = n; /* 128+n is worse than all */

	for (size_t i = 0; i < n; i++) {
		if (best_first[i] == a)
			rank_a = i;
		if (best_first[i] == b)
			rank_b = i;
	}
	return rank_a >= rank_b ? a : b;
}

/** Length of the UTF-8 sequence at `s` and its code point; 0 if it isn't one. */
static size_t utf8_next(const unsigned char *s, uint32_t *point)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : 4;

	if (len == 1) {
		*point = s[0];
		return 1;
	}
	if (len == 4 && (s[0] & 0xf8) != 0xf0)
		return 0;
	*point = s[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*point = *point << 6 | (s[i] & 0x3fu);
	}
	if (*point < least[len] || *point > 0x10ffff || (*point >= 0xd800 && *point <= 0xdfff))
		return 0;
	return len;
}

static bool is_direction_mark(uint32_t point)
{
	return point == 0x061c || point == 0x200e || point == 0x200f || point == 0x2028 ||
	       point == 0x2029 || (point >= 0x202a && point <= 0x202e) ||
	       (point >= 0x2066 && point <= 0x2069);
}

void tool_print_safe(FILE *f, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	while (*s) {
		uint32_t point = 0;
		size_t len = utf8_next(s, &point);

		if (len == 0) {
			fprintf(f, "\\x%02x", *s++);
			continue;
		}
		if (point < 0x20 || (point >= 0x7f && point < 0xa0))
			fprintf(f, "\\x%02" PRIx32, point);
		else if (is_direction_mark(point))
			fprintf(f, "\\u{%" PRIx32 "}", point);
		else
			fwrite(s, 1, len, f);
		s += len;
	}
}

char *tool_safe_text(const char *text)
{
	char *safe = NULL;
	size_t len;
	FILE *f = open_memstream(&safe, &len);

	if (!f)
		return NULL;
	tool_print_safe(f, text);
	if (fclose(f) == 0)
		return safe;
	free(safe);
	return NULL;
}

/** One line on stderr. Locked, so that lines of two threads don't mix. */
static void say_line(const char *tag, const char *image, const char *text)
{
	flockfile(stderr);
	fputs("vdtool: ", stderr);
	fputs(tag, stderr);
	if (image && *image) {
		tool_print_safe(stderr, image);
		fputs(": ", stderr);
	}
	tool_print_safe(stderr, text);
	fputc('\n', stderr);
	funlockfile(stderr);
}

int tool_fail(const char *image, const struct vd_error *err)
{
	size_t n = image ? strlen(image) : 0;
	const char *text = err->text[0] ? err->text : vd_code_name(err->code);

	/* The library may have named the image itself. */
	if (n && strncmp(text, image, n) == 0 && strncmp(text + n, ": ", 2) == 0)
		text += n + 2;
	tool_last_error = *err;
	say_line("", image, text);
	tool_policed_hint(image, err);
	return tool_exit_for(err->code);
}

int tool_say(int exit_code, const char *image, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	vd_error_set(&tool_last_error, code_for(exit_code), 0, VD_NO_OFFSET, "%s", text);
	say_line("", image, text);
	return exit_code;
}

int tool_usage(const struct tool_command *command, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say_line("", command ? command->name : NULL, text);
	fprintf(stderr, "Try `vdtool %s%s--help`.\n", command ? command->name : "",
		command ? " " : "");
	return TOOL_USAGE;
}

void tool_note(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (tool_is_quiet)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say_line("note: ", NULL, text);
}

/* Each message once; when there are too many different ones, the rest is dropped. */
static void hear(void *user, enum vd_message_level level, const char *text)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static char *heard[64];
	static size_t n_heard;
	bool is_new = true;

	(void)user;
	if (level == VD_MESSAGE_DEBUG || tool_is_quiet)
		return;
	pthread_mutex_lock(&mutex);
	for (size_t i = 0; i < n_heard && is_new; i++)
		is_new = strcmp(heard[i], text) != 0;
	if (n_heard == sizeof(heard) / sizeof(heard[0]))
		is_new = false;
	if (is_new && (heard[n_heard] = strdup(text)))
		n_heard++;
	pthread_mutex_unlock(&mutex);
	if (is_new)
		say_line("note: ", NULL, text);
}

void tool_hear_messages(void)
{
	vd_set_message_hook(hear, NULL);
}

const char *tool_size_format(uint64_t bytes, char text[TOOL_SIZE_TEXT])
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned unit = 0;
	double value = (double)bytes;

	while (unit < 6 && value >= 1024) {
		value /= 1024;
		unit++;
	}
	if (unit == 0)
		snprintf(text, TOOL_SIZE_TEXT, "%" PRIu64 " byte%s", bytes, bytes == 1 ? "" : "s");
	else if (bytes % (UINT64_C(1) << 10 * unit) == 0)
		snprintf(text, TOOL_SIZE_TEXT, "%" PRIu64 " %s", bytes >> 10 * unit, units[unit]);
	else
		snprintf(text, TOOL_SIZE_TEXT, "%.*f %s", value < 100 ? 1 : 0, value, units[unit]);
	return text;
}

const char *tool_uuid_format(const uint8_t uuid[16], char text[TOOL_UUID_TEXT])
{
	char *p = text;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p += snprintf(p, 3, "%02x", uuid[i]);
	}
	return text;
}

int tool_stdout_failed(int sys_errno)
{
	if (sys_errno == EPIPE)
		return 128 + SIGPIPE;
	return tool_say(TOOL_FAILED, NULL, "standard output: %s", strerror(sys_errno));
}

int tool_stdout_finish(int exit_code)
{
	bool had_failed = ferror(stdout);

	errno = 0;
	if (fflush(stdout) != 0 || had_failed)
		return tool_exit_worse(exit_code, tool_stdout_failed(errno ? errno : EIO));
	if (close(STDOUT_FILENO) != 0 && errno != EBADF)
		return tool_exit_worse(exit_code, tool_stdout_failed(errno));
	return exit_code;
}
