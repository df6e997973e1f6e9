/* SPDX-License-Identifier: MIT */
/* Values: how each type is typed and what its normal form is (docs/metadata-documents.md). */
#define _XOPEN_SOURCE 700
#include "naive.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <utf8proc.h>

char *naive_key(const char *text)
{
	char *key = naive_text(text, strlen(text));

	for (int turn = 0; turn < 4; turn++) {
		uint8_t *next;
		char *copy;

		if (utf8proc_map((const uint8_t *)key, 0, &next,
				 UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPAT |
				     UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD) < 0)
			return NULL;
		copy = naive_text((char *)next, strlen((char *)next));
		free(next);
		if (!strcmp(copy, key))
			break;
		key = copy;
	}
	return key;
}

static bool read_digits(const char *text, size_t len, __int128 bound, __int128 *number)
{
	*number = 0;
	for (size_t k = 0; k < len; k++) {
		if (text[k] < '0' || text[k] > '9')
			return false;
		*number = *number * 10 + (text[k] - '0');
		if (*number >= bound)
			return false;
	}
	return len > 0;
}

/* "90d": how many seconds. */
static bool read_span(const char *text, __int128 *seconds)
{
	static const char units[] = "smhdw";
	static const int lengths[] = {1, 60, 3600, 86400, 604800};
	size_t len = strlen(text);
	const char *unit = len ? strchr(units, text[len - 1]) : NULL;

	if (!unit || !*unit || !read_digits(text, len - 1, (__int128)1 << 40, seconds))
		return false;
	*seconds *= lengths[unit - units];
	return true;
}

static bool read_size(const char *text, __int128 *bytes)
{
	static const char letters[] = "KMGTPE";
	size_t whole = strspn(text, "0123456789"), n_fraction = 0;
	const char *rest = text + whole, *letter;
	__int128 unit = 1, fraction = 0, scale = 1;

	if (!read_digits(text, whole, (__int128)1 << 63, bytes))
		return false;
	if (*rest == '.') {
		n_fraction = strspn(++rest, "0123456789");
		if (!read_digits(rest, n_fraction, (__int128)1 << 60, &fraction))
			return false;
		rest += n_fraction;
	}
	letter = *rest ? strchr(letters, toupper((unsigned char)*rest)) : NULL;
	if ((*rest || n_fraction) && !letter)
		return false;
	if (letter) {
		int base = !strcasecmp(rest + 1, "B") ? 1000 : 1024;

		if (rest[1] && strcasecmp(rest + 1, "B") && strcasecmp(rest + 1, "iB"))
			return false;
		for (long k = 0; k <= letter - letters; k++)
			unit *= base;
	}
	while (n_fraction--)
		scale *= 10;
	*bytes = *bytes * unit + fraction * unit / scale;
	return *bytes < (__int128)1 << 63;
}

static bool read_date(const char *text, __int128 *seconds)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S",
					    "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
	int hours, minutes, used = 0;
	const char *end = NULL;
	struct tm tm;

	for (size_t k = 0; !end && k < sizeof(forms) / sizeof(forms[0]); k++) {
		memset(&tm, 0, sizeof(tm));
		end = strptime(text, forms[k], &tm);
	}
	if (!end || strlen(text) < 10 || text[4] != '-' || text[7] != '-')
		return false;
	*seconds = timegm(&tm);
	if (*end == '.')
		end += 1 + strspn(end + 1, "0123456789");
	if (*end == '+' || *end == '-') {
		if (sscanf(end + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2)
			return false;
		*seconds -= (*end == '+' ? 1 : -1) * (hours * 3600 + minutes * 60);
		end += 1 + used;
	} else if (*end == 'Z') {
		end++;
	}
	return !*end;
}

static bool read_time(const char *text, int64_t now, bool is_typed, __int128 *seconds)
{
	const char *span = !strncasecmp(text, "now", 3) ? text + 3 : text;

	if (is_typed && span != text && !*span) {
		*seconds = now;
		return true;
	}
	if (is_typed && (*span == '+' || *span == '-') && read_span(span + 1, seconds)) {
		*seconds = now + (*span == '+' ? *seconds : -*seconds);
		return true;
	}
	return read_date(text, seconds);
}

bool naive_number(const struct naive_field *field, const char *text, int64_t now, bool is_typed,
		  __int128 *number)
{
	if (!strcmp(field->type, "number"))
		return read_digits(text, strlen(text), (__int128)1 << 64, number) ||
		       (!strcmp(field->name, "grace") && is_typed && read_span(text, number));
	if (!strcmp(field->type, "size"))
		return read_size(text, number);
	if (!strcmp(field->type, "time"))
		return read_time(text, now, is_typed, number);
	return false;
}

int naive_rank(const struct naive_field *field, const char *word)
{
	const char *p = field->choices;
	size_t len = strlen(word);

	for (int rank = 0; *p; rank++) {
		size_t n = strcspn(p, "|");

		if (n == len && !strncasecmp(p, word, n))
			return rank;
		p += n + (p[n] == '|');
	}
	return -1;
}

static bool is_version(const char *text)
{
	static const char letters[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	char all[128];

	snprintf(all, sizeof(all), "%s.+~:_^-", letters);
	return *text && strchr(letters, *text) && text[strspn(text, all)] == '\0';
}

char *naive_normal(const struct naive_field *field, const char *text)
{
	static const char *const words[] = {"true", "yes", "on", "1", "false", "no", "off", "0"};
	char *copy = naive_text(text, strlen(text));
	size_t n = 0;

	if (!strcmp(field->type, "bool")) {
		for (int k = 0; k < 8; k++)
			if (!strcasecmp(text, words[k]))
				return naive_text(k < 4 ? "true" : "false", k < 4 ? 4 : 5);
		return NULL;
	}
	if (!strcmp(field->type, "uuid")) {
		if (*copy == '{' && copy[strlen(copy) - 1] == '}') {
			copy[strlen(copy) - 1] = '\0';
			copy++;
		}
		for (char *p = copy; *p; p++, n++) {
			bool is_dash = n == 8 || n == 13 || n == 18 || n == 23;

			*p = (char)tolower((unsigned char)*p);
			if (is_dash ? *p != '-' : !isxdigit((unsigned char)*p))
				return NULL;
		}
		return n == 36 ? copy : NULL;
	}
	return copy;
}

bool naive_is_readable(const struct naive_field *field, const struct naive_value *value,
		       enum naive_op op)
{
	__int128 number;

	if (value->is_glob && op == HAS)
		return true;
	if (!strcmp(field->type, "text"))
		return op <= NE;
	if (!strcmp(field->type, "purl"))
		return op == HAS || (op <= NE && !strncasecmp(value->text, "pkg:", 4));
	if (!strcmp(field->type, "word"))
		return naive_rank(field, value->text) >= 0;
	if (!strcmp(field->type, "version"))
		return is_version(value->text);
	if (!strcmp(field->type, "bool") || !strcmp(field->type, "uuid"))
		return naive_normal(field, value->text) != NULL;
	return naive_number(field, value->text, 0, true, &number);
}

/* Percent signs and what follows them. */
static char *decode(const char *text, size_t len)
{
	const char *in = naive_text(text, len);
	char *out = naive_memory(len + 1);

	for (size_t n = 0; *in; in++) {
		unsigned byte;

		if (*in == '%' && isxdigit((unsigned char)in[1]) &&
		    isxdigit((unsigned char)in[2]) && sscanf(in + 1, "%2x", &byte) == 1) {
			out[n++] = (char)byte;
			in += 2;
		} else {
			out[n++] = *in;
		}
	}
	return out;
}

struct naive_purl naive_purl(const char *text)
{
	struct naive_purl p = {0};
	size_t end = strcspn(text, "?#");
	char *body = naive_text(text, end), *at, *slash;

	p.before_qualifiers = naive_text(body, end);
	at = strrchr(body, '@');
	if (at) {
		p.version = decode(at + 1, strlen(at + 1));
		*at = '\0';
	}
	p.before_version = naive_text(body, strlen(body));
	body += strncasecmp(body, "pkg:", 4) ? 0 : 4;
	slash = strchr(body, '/');
	p.type = naive_text(body, slash ? (size_t)(slash - body) : 0);
	body = slash ? slash + 1 : body;
	slash = strrchr(body, '/');
	if (slash)
		p.namespace = decode(body, (size_t)(slash - body));
	p.name = slash ? decode(slash + 1, strlen(slash + 1)) : decode(body, strlen(body));
	return p;
}
