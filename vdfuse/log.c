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

/* Nothing in a message may steer a terminal or begin a new line of the log. */
static void make_harmless(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
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
