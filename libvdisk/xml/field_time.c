/* SPDX-License-Identifier: MIT */
/* Times as RFC 3339 has them, and what people type instead. */
#include <stdio.h>
#include <string.h>

#include "xml/field_value.h"

#define DAY 86400

/* Years 1 to 9999, less a day at each end for time zones: what the schemas allow. */
#define TIME_MIN (-62135510400)
#define TIME_MAX 253402214399

/** Days since 1970-01-01 of a day in the Gregorian calendar. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	/* Years that begin in March have their leap day at the end. */
	int64_t y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static int64_t days_in(int64_t year, int64_t month)
{
	return month == 12 ? 31 : days_of(year, month + 1, 1) - days_of(year, month, 1);
}

void vd_time_format(int64_t time, char text[VD_TIME_TEXT])
{
	int64_t rest = (time % DAY + DAY) % DAY, days = (time - rest) / DAY;
	int64_t year = 1970 + days / 366, month = 1;

	if (days < 0)
		year = 1969 + days / 365;
	while (days_of(year + 1, 1, 1) <= days)
		year++;
	while (days_of(year, 1, 1) > days)
		year--;
	while (month < 12 && days_of(year, month + 1, 1) <= days)
		month++;
	snprintf(text, VD_TIME_TEXT, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)year % 10000,
		 (unsigned)month, (unsigned)(days - days_of(year, month, 1)) + 1,
		 (unsigned)(rest / 3600), (unsigned)(rest / 60 % 60), (unsigned)(rest % 60));
}

/** Exactly `n` digits, up to `max`. */
static bool take(const char **p, int n, int64_t max, int64_t *number)
{
	*number = 0;
	for (; n; n--, (*p)++) {
		if (**p < '0' || **p > '9')
			return false;
		*number = *number * 10 + (**p - '0');
	}
	return *number <= max;
}

static bool take_char(const char **p, const char *which)
{
	if (!**p || !strchr(which, **p))
		return false;
	(*p)++;
	return true;
}

static bool take_zone(const char **p, bool is_typed, int64_t *offset)
{
	int64_t hours, minutes;
	bool is_west = **p == '-';

	*offset = 0;
	if ((is_typed && !**p) || take_char(p, is_typed ? "Zz" : "Z"))
		return true;
	if (!take_char(p, "+-") || !take(p, 2, 23, &hours) || !take_char(p, ":") ||
	    !take(p, 2, 59, &minutes))
		return false;
	*offset = (hours * 60 + minutes) * 60;
	if (is_west)
		*offset = -*offset;
	return true;
}

static bool take_clock(const char **p, bool is_typed, int64_t *seconds)
{
	int64_t hour, minute, second = 0;
	int n = 0;

	if (!take(p, 2, 23, &hour) || !take_char(p, ":") || !take(p, 2, 59, &minute))
		return false;
	if (**p == ':' || !is_typed) {
		if (!take_char(p, ":") || !take(p, 2, 59, &second))
			return false;
		if (take_char(p, ".")) {
			for (; **p >= '0' && **p <= '9' && n < 9; n++)
				(*p)++;
			if (!n)
				return false;
		}
	}
	*seconds = (hour * 60 + minute) * 60 + second;
	return true;
}

const char *vd_duration_parse(const char *text, bool is_typed, uint64_t *seconds)
{
	static const char units[] = "smhdw";
	static const uint64_t factors[] = {1, 60, 3600, DAY, 7 * DAY};
	uint64_t number = 0, factor = 1;
	const char *p = text, *unit;

	for (; *p >= '0' && *p <= '9'; p++) {
		number = number * 10 + (uint64_t)(*p - '0');
		if (number > (uint64_t)TIME_MAX + (uint64_t)-TIME_MIN)
			return "too long";
	}
	if (p == text)
		return "no length of time (say 7d, 12h, 30m, or seconds)";
	if (*p && is_typed) {
		unit = strchr(units, *p);
		if (!unit || p[1])
			return "an unknown unit of time (s, m, h, d, w are known)";
		factor = factors[unit - units];
		p++;
	}
	if (*p)
		return "no number of seconds";
	if (__builtin_mul_overflow(number, factor, seconds) ||
	    *seconds > (uint64_t)TIME_MAX + (uint64_t)-TIME_MIN)
		return "too long";
	return NULL;
}

/** "now", "+90d", "now-1h". NULL if it isn't meant so, else what is wrong, or "". */
static const char *relative(const char *text, int64_t now, int64_t *time)
{
	const char *p = text, *wrong;
	uint64_t seconds;

	if (strncmp(p, "now", 3) == 0)
		p += 3;
	if (p == text && *p != '+' && *p != '-')
		return NULL;
	*time = now;
	if (!*p)
		return "";
	if (*p != '+' && *p != '-')
		return "no time (say now+90d)";
	wrong = vd_duration_parse(p + 1, true, &seconds);
	if (wrong)
		return wrong;
	/* Both are far from the ends of the number range. */
	*time = *p == '+' ? now + (int64_t)seconds : now - (int64_t)seconds;
	return "";
}

const char *vd_time_parse(const char *text, bool is_typed, int64_t now, int64_t *time)
{
	static const char form[] = "no time (say 2027-01-31, 2027-01-31T12:00:00Z or +90d)";
	const char *p = text, *wrong = NULL;
	int64_t year, month, day, clock = 0, zone = 0;

	if (now > TIME_MAX || now < TIME_MIN)
		return "not to be reckoned from a clock that is thousands of years off";
	if (is_typed)
		wrong = relative(text, now, time);
	if (!wrong) {
		if (!take(&p, 4, 9999, &year) || !take_char(&p, "-") || !take(&p, 2, 12, &month) ||
		    !take_char(&p, "-") || !take(&p, 2, 31, &day))
			return form;
		if (!year || !month || !day || day > days_in(year, month))
			return "no day of the calendar";
		if (!(is_typed && !*p) &&
		    (!take_char(&p, is_typed ? "Tt " : "T") || !take_clock(&p, is_typed, &clock) ||
		     !take_zone(&p, is_typed, &zone) || *p))
			return form;
		*time = days_of(year, month, day) * DAY + clock - zone;
	} else if (*wrong) {
		return wrong;
	}
	return *time < TIME_MIN || *time > TIME_MAX ? "outside the years 1 to 9999" : NULL;
}
