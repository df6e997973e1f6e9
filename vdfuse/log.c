/* SPDX-License-Identifier: MIT */
/* See log.h. An error that comes again and again is told ten times in a minute at most. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "log.h"

#define PER_MINUTE 10

static bool is_in_syslog, is_debugging;

static bool is_too_much(void)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static time_t minute;
	static unsigned int n;
	time_t now = time(NULL) / 60;
	bool is_it;

	pthread_mutex_lock(&lock);
	if (now != minute) {
		minute = now;
		n = 0;
	}
	is_it = n++ >= PER_MINUTE;
	pthread_mutex_unlock(&lock);
	return is_it;
}

static bool is_more(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* Bytes of a character of UTF-8 that only shows itself: no control character, also none of
 * U+0080 to U+009F, and none that turns the direction of writing. 0: it is none. */
static size_t harmless_len(const unsigned char *s)
{
	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if (s[0] < 0xc2 || !is_more(s[1]))
		return 0;
	if (s[0] < 0xe0)
		return (s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xd8 && s[1] == 0x9c) ? 0 : 2;
	if (!is_more(s[2]) || (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0))
		return 0;
	if (s[0] == 0xe2 && s[1] == 0x80)
		return (s[2] & 0xfe) == 0x8e || (s[2] >= 0xa8 && s[2] <= 0xae) ? 0 : 3;
	if (s[0] == 0xe2 && s[1] == 0x81)
		return s[2] >= 0xa6 && s[2] <= 0xa9 ? 0 : 3;
	if (s[0] < 0xf0)
		return 3;
	return s[0] > 0xf4 || !is_more(s[3]) || (s[0] == 0xf0 && s[1] < 0x90) ||
		       (s[0] == 0xf4 && s[1] >= 0x90)
		   ? 0
		   : 4;
}

/* Nothing in a message may steer a terminal or begin a new line of the log. */
static void make_harmless(char *text)
{
	for (char *p = text; *p;) {
		size_t len = harmless_len((const unsigned char *)p);

		if (!len)
			*p = '?';
		p += len ? len : 1;
	}
}

static void say(int priority, const char *tag, const char *fmt, va_list ap) VD_PRINTF(3, 0);
static void say(int priority, const char *tag, const char *fmt, va_list ap)
{
	char text[2048];

	vsnprintf(text, sizeof(text), fmt, ap);
	make_harmless(text);
	if (is_in_syslog)
		syslog(priority, "%s%s", tag, text);
	else
		fprintf(stderr, "vdfuse: %s%s\n", tag, text);
}

void log_to_syslog(void)
{
	openlog("vdfuse", LOG_PID, LOG_DAEMON);
	is_in_syslog = true;
}

void log_debugging(bool on)
{
	is_debugging = on;
}

void log_error(const char *fmt, ...)
{
	va_list ap;

	if (is_too_much())
		return;
	va_start(ap, fmt);
	say(LOG_ERR, "", fmt, ap);
	va_end(ap);
}

void log_note(const char *fmt, ...)
{
	va_list ap;

	if (is_too_much())
		return;
	va_start(ap, fmt);
	say(LOG_NOTICE, "note: ", fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	if (!is_debugging)
		return;
	va_start(ap, fmt);
	say(LOG_DEBUG, "", fmt, ap);
	va_end(ap);
}

void log_override(const char *fmt, ...)
{
	char text[4096 + 2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	make_harmless(text);
	if (!is_in_syslog)
		openlog("vdfuse", LOG_PID, LOG_DAEMON);
	syslog(LOG_AUTH | LOG_NOTICE, "%s", text);
}

void log_failure(const char *image, const char *what, const struct vd_error *err)
{
	const char *text = err->text[0] ? err->text : vd_code_name(err->code);
	size_t n = strlen(image);

	if (!strncmp(text, image, n) && !strncmp(text + n, ": ", 2))
		text += n + 2;
	log_error("%s: %s%s%s", image, what ? what : "", what ? ": " : "", text);
}

static void hear(void *user, enum vd_message_level level, const char *text)
{
	(void)user;
	if (level == VD_MESSAGE_DEBUG)
		log_debug("%s", text);
	else
		log_note("%s", text);
}

void log_hear_messages(void)
{
	vd_set_message_hook(hear, NULL);
}
