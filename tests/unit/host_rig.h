/* SPDX-License-Identifier: MIT */
/* Facts of a host, looked up by tests. */
#ifndef TEST_HOST_RIG_H
#define TEST_HOST_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

#include <vdisk/host.h>

static struct vd_error err;

static inline const char *value_of(const struct vd_host *host, const char *field, uint32_t group)
{
	size_t n;
	const struct vd_fact *facts = vd_host_facts(host, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(facts[i].field, field) == 0 && facts[i].group == group)
			return facts[i].value;
	return NULL;
}

static inline size_t count_of(const struct vd_host *host, const char *field)
{
	size_t n, found = 0;
	const struct vd_fact *facts = vd_host_facts(host, &n);

	for (size_t i = 0; i < n; i++)
		found += strcmp(facts[i].field, field) == 0;
	return found;
}

/* The group of the fact field = value; 0: there is none. */
static inline uint32_t group_of(const struct vd_host *host, const char *field, const char *value)
{
	size_t n;
	const struct vd_fact *facts = vd_host_facts(host, &n);

	for (size_t i = 0; i < n; i++)
		if (strcmp(facts[i].field, field) == 0 && strcmp(facts[i].value, value) == 0)
			return facts[i].group;
	return 0;
}

static inline struct vd_host *parse(const char *text)
{
	struct vd_host *host = NULL;

	if (vd_host_parse(&host, text, strlen(text), &err))
		fail_msg("%s", err.text);
	return host;
}

static inline char *format(const struct vd_host *host)
{
	char *text;
	size_t len;

	assert_int_equal(vd_host_format(host, &text, &len, &err), 0);
	assert_int_equal(strlen(text), len);
	return text;
}

#endif
