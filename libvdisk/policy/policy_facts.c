/* SPDX-License-Identifier: MIT */
/* Looking facts up, alone and by the entries of lists that they belong to. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "policy/policy_rules.h"

/** Where a field begins in a run, which is sorted by it; or where it would. */
static size_t first_of(struct vd_fact_run run, const char *field)
{
	size_t low = 0, high = run.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(run.facts[middle].field, field) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct vd_fact *policy_fact_next(struct vd_fact_run run, const char *field, size_t *at)
{
	size_t i = *at ? *at : first_of(run, field);

	if (i >= run.n || strcmp(run.facts[i].field, field) != 0)
		return NULL;
	*at = i + 1;
	return &run.facts[i];
}

const char *policy_fact_value(struct vd_fact_run run, const char *field)
{
	size_t at = 0;
	const struct vd_fact *fact = policy_fact_next(run, field, &at);

	return fact ? fact->value : NULL;
}

/* ---- entries ---- */

static int by_group(const void *a, const void *b)
{
	const struct vd_fact *x = *(const struct vd_fact *const *)a;
	const struct vd_fact *y = *(const struct vd_fact *const *)b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	return (x > y) - (x < y); /* as the run has them: by field, key, value */
}

static bool is_below(const char *field, const char *prefix, size_t len)
{
	return strncmp(field, prefix, len) == 0 && (field[len] == '\0' || field[len] == '.');
}

int policy_entries_gather(struct policy_entries *out, struct vd_fact_run run, const char *prefix,
			  struct vd_error *err)
{
	size_t len = strlen(prefix), begin = first_of(run, prefix), n = 0;

	*out = (struct policy_entries){NULL, 0};
	/* "a", "a-b" and "a.b" are sorted so: what is below isn't always in one piece. */
	for (size_t i = begin; i < run.n && strncmp(run.facts[i].field, prefix, len) == 0; i++)
		n += is_below(run.facts[i].field, prefix, len);
	if (!n)
		return 0;
	out->facts = vd_calloc(n, sizeof(*out->facts));
	if (!out->facts)
		return vd_no_memory(err, n * sizeof(*out->facts), "facts");
	for (size_t i = begin; out->n < n; i++)
		if (is_below(run.facts[i].field, prefix, len))
			out->facts[out->n++] = &run.facts[i];
	qsort(out->facts, n, sizeof(*out->facts), by_group);
	return 0;
}

void policy_entries_free(struct policy_entries *entries)
{
	vd_free(entries->facts);
	*entries = (struct policy_entries){NULL, 0};
}

bool policy_entries_next(const struct policy_entries *entries, size_t *at,
			 struct policy_entries *entry)
{
	size_t begin = *at;

	if (begin >= entries->n)
		return false;
	while (*at < entries->n && entries->facts[*at]->group == entries->facts[begin]->group)
		(*at)++;
	*entry = (struct policy_entries){entries->facts + begin, *at - begin};
	return true;
}

const char *policy_entry_value(const struct policy_entries *entry, const char *field)
{
	for (size_t i = 0; i < entry->n; i++)
		if (strcmp(entry->facts[i]->field, field) == 0)
			return entry->facts[i]->value;
	return NULL;
}

/* ---- values ---- */

bool policy_number(const char *value, uint64_t *number)
{
	*number = 0;
	if (!value || !*value)
		return false;
	for (; *value >= '0' && *value <= '9'; value++)
		if (__builtin_mul_overflow(*number, 10u, number) ||
		    __builtin_add_overflow(*number, (uint64_t)(*value - '0'), number))
			return false;
	return !*value;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool policy_is_word(const char *a, const char *b)
{
	while (*a && lower(*a) == lower(*b)) {
		a++;
		b++;
	}
	return !*a && !*b;
}

void policy_text_package(struct policy_text *text, const char *purl)
{
	size_t len = strcspn(purl, "@?#");
	char name[POLICY_VALUE_MAX];

	/* A scope as in "pkg:npm/%40a/b@1" is escaped, so the first @ is the version's. */
	while (len && purl[len - 1] == '/')
		len--;
	for (size_t i = len; i; i--) {
		if (purl[i - 1] == '/' || purl[i - 1] == ':') {
			purl += i;
			len -= i;
			break;
		}
	}
	if (len >= sizeof(name))
		len = sizeof(name) - 1;
	memcpy(name, purl, len);
	name[len] = '\0';
	policy_text_value(text, name);
}

void policy_text_cve_remedy(struct policy_text *text, const char *package, const char *fixed)
{
	if (!package || !fixed)
		return;
	policy_text_line(text);
	policy_text_add(text, "install ");
	policy_text_package(text, package);
	policy_text_add(text, " >= ");
	policy_text_value(text, fixed);
	policy_text_add(text, " and `meta scan` again");
}
