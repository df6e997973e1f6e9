/* SPDX-License-Identifier: MIT */
/* How versions are ordered: Debian's way, RPM's, Semantic Versioning's, and part by part. */
#include <string.h>

#include "query/query_tree.h"

static bool is_digit(const char *p, const char *end)
{
	return p < end && *p >= '0' && *p <= '9';
}

static bool is_alpha(const char *p, const char *end)
{
	return p < end && ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z'));
}

static int sign(int64_t n)
{
	return (n > 0) - (n < 0);
}

static struct version_text skip_digits(const char *p, const char *end)
{
	struct version_text digits = {p, p};

	while (is_digit(digits.end, end))
		digits.end++;
	return digits;
}

/** Runs of digits as numbers of any length. */
static int compare_digits(struct version_text a, struct version_text b)
{
	while (a.p < a.end && *a.p == '0')
		a.p++;
	while (b.p < b.end && *b.p == '0')
		b.p++;
	if (a.end - a.p != b.end - b.p)
		return sign((a.end - a.p) - (b.end - b.p));
	return a.p == a.end ? 0 : sign(memcmp(a.p, b.p, (size_t)(a.end - a.p)));
}

static int compare_bytes(struct version_text a, struct version_text b)
{
	size_t n_a = (size_t)(a.end - a.p), n_b = (size_t)(b.end - b.p);
	size_t n = n_a < n_b ? n_a : n_b;
	int order = n ? memcmp(a.p, b.p, n) : 0;

	return order ? sign(order) : (n_a > n_b) - (n_a < n_b);
}

/** "2:1.0" -> epoch "2"; what isn't led by digits and ":" has the epoch 0. */
static struct version_text take_epoch(struct version_text *v)
{
	struct version_text epoch = skip_digits(v->p, v->end);

	if (epoch.end == epoch.p || epoch.end == v->end || *epoch.end != ':')
		return (struct version_text){v->p, v->p};
	v->p = epoch.end + 1;
	return epoch;
}

/** What follows the last "-", which ends the version; p NULL: there is none. */
static struct version_text take_release(struct version_text *v)
{
	for (const char *p = v->end; p > v->p; p--) {
		if (p[-1] == '-') {
			struct version_text release = {p, v->end};

			v->end = p - 1;
			return release;
		}
	}
	return (struct version_text){NULL, NULL};
}

/* ---- Debian ---- */

/** Place of a character that isn't a digit: "~", the end (or a digit), letters, others. */
static int deb_place(const char *p, const char *end)
{
	if (p == end || is_digit(p, end))
		return 0;
	if (*p == '~')
		return -1;
	return is_alpha(p, end) ? (unsigned char)*p : 256 + (unsigned char)*p;
}

static int deb_part(struct version_text a, struct version_text b)
{
	struct version_text n_a, n_b;
	int order;

	while (a.p < a.end || b.p < b.end) {
		while ((a.p < a.end && !is_digit(a.p, a.end)) ||
		       (b.p < b.end && !is_digit(b.p, b.end))) {
			order = deb_place(a.p, a.end) - deb_place(b.p, b.end);
			if (order)
				return sign(order);
			/* Equal places: neither is at its end or at a digit. */
			a.p++;
			b.p++;
		}
		n_a = skip_digits(a.p, a.end);
		n_b = skip_digits(b.p, b.end);
		order = compare_digits(n_a, n_b);
		if (order)
			return order;
		a.p = n_a.end;
		b.p = n_b.end;
	}
	return 0;
}

static int compare_deb(struct version_text a, struct version_text b)
{
	struct version_text more_a, more_b;
	int order = compare_digits(take_epoch(&a), take_epoch(&b));

	more_a = take_release(&a);
	more_b = take_release(&b);
	if (!order)
		order = deb_part(a, b);
	/* A revision that isn't there is as good as "0". */
	return order ? order : deb_part(more_a, more_b);
}

/* ---- RPM ---- */

static bool rpm_counts(const char *p, const char *end)
{
	return is_digit(p, end) || is_alpha(p, end) || *p == '~' || *p == '^';
}

static void rpm_skip(struct version_text *v)
{
	while (v->p < v->end && !rpm_counts(v->p, v->end))
		v->p++;
}

static bool is_at(struct version_text v, char c)
{
	return v.p < v.end && *v.p == c;
}

/** What stands at the beginning: numbers over letters over "^" over the end over "~". */
static int rpm_rank(struct version_text v)
{
	if (v.p == v.end)
		return 1;
	if (*v.p == '~')
		return 0;
	if (*v.p == '^')
		return 2;
	return is_digit(v.p, v.end) ? 4 : 3;
}

static struct version_text rpm_take(struct version_text *v, bool is_number)
{
	struct version_text part = {v->p, v->p};

	while (is_number ? is_digit(part.end, v->end) : is_alpha(part.end, v->end))
		part.end++;
	v->p = part.end;
	return part;
}

static int rpm_part(struct version_text a, struct version_text b)
{
	for (;;) {
		struct version_text part_a, part_b;
		bool is_number;
		int order;

		rpm_skip(&a);
		rpm_skip(&b);
		order = rpm_rank(a) - rpm_rank(b);
		if (order || a.p == a.end)
			return sign(order);
		if (is_at(a, '~') || is_at(a, '^')) {
			a.p++;
			b.p++;
			continue;
		}
		is_number = is_digit(a.p, a.end);
		part_a = rpm_take(&a, is_number);
		part_b = rpm_take(&b, is_number);
		order = is_number ? compare_digits(part_a, part_b) : compare_bytes(part_a, part_b);
		if (order)
			return order;
	}
}

static int compare_rpm(struct version_text a, struct version_text b)
{
	struct version_text more_a, more_b;
	int order = compare_digits(take_epoch(&a), take_epoch(&b));

	more_a = take_release(&a);
	more_b = take_release(&b);
	if (!order)
		order = rpm_part(a, b);
	if (!order && more_a.p && more_b.p)
		order = rpm_part(more_a, more_b);
	return order;
}

/* ---- part by part ---- */

enum part_kind { PART_TILDE, PART_END, PART_LETTERS, PART_NUMBER };

static bool is_word(const char *p, const char *end)
{
	return is_alpha(p, end) || (p < end && (unsigned char)*p >= 0x80);
}

static enum part_kind take_part(struct version_text *v, struct version_text *part)
{
	while (v->p < v->end && *v->p != '~' && !is_digit(v->p, v->end) && !is_word(v->p, v->end))
		v->p++;
	*part = (struct version_text){v->p, v->p};
	if (v->p == v->end)
		return PART_END;
	if (*v->p == '~') {
		v->p++;
		return PART_TILDE;
	}
	if (is_digit(v->p, v->end)) {
		*part = skip_digits(v->p, v->end);
		v->p = part->end;
		return PART_NUMBER;
	}
	while (is_word(part->end, v->end))
		part->end++;
	v->p = part->end;
	return PART_LETTERS;
}

static int compare_parts(struct version_text a, struct version_text b)
{
	for (;;) {
		struct version_text part_a, part_b;
		enum part_kind kind_a = take_part(&a, &part_a), kind_b = take_part(&b, &part_b);
		int order = 0;

		if (kind_a != kind_b)
			return kind_a < kind_b ? -1 : 1;
		if (kind_a == PART_END)
			return 0;
		if (kind_a == PART_NUMBER)
			order = compare_digits(part_a, part_b);
		else if (kind_a == PART_LETTERS)
			order = compare_bytes(part_a, part_b);
		if (order)
			return order;
	}
}

/* ---- Semantic Versioning ---- */

struct semver {
	struct version_text number[3], before; /* before: of a pre-release; p NULL: it is none */
};

static bool is_in_identifier(const char *p, const char *end)
{
	return is_digit(p, end) || is_alpha(p, end) || (p < end && *p == '-');
}

/** Identifiers with dots between them; without leading zeros, if they count as numbers. */
static bool take_identifiers(const char **p, const char *end, bool has_numbers)
{
	for (;;) {
		const char *from = *p;
		bool is_number = true;

		for (; is_in_identifier(*p, end); (*p)++)
			is_number &= is_digit(*p, end);
		if (*p == from || (has_numbers && is_number && *p - from > 1 && *from == '0'))
			return false;
		if (*p == end || **p != '.')
			return true;
		(*p)++;
	}
}

static bool read_semver(struct version_text v, struct semver *out)
{
	const char *p = v.p;

	if (p < v.end && *p == 'v')
		p++;
	for (int i = 0; i < 3; i++) {
		out->number[i] = skip_digits(p, v.end);
		if (out->number[i].end == p || (out->number[i].end - p > 1 && *p == '0'))
			return false;
		p = out->number[i].end;
		if (i < 2 && (p == v.end || *p++ != '.'))
			return false;
	}
	out->before = (struct version_text){NULL, NULL};
	if (p < v.end && *p == '-') {
		out->before.p = ++p;
		if (!take_identifiers(&p, v.end, true))
			return false;
		out->before.end = p;
	}
	if (p < v.end && *p == '+') {
		p++;
		if (!take_identifiers(&p, v.end, false))
			return false;
	}
	return p == v.end;
}

static struct version_text take_identifier(struct version_text *v)
{
	struct version_text id = {v->p, v->p};

	while (id.end < v->end && *id.end != '.')
		id.end++;
	v->p = id.end < v->end ? id.end + 1 : id.end;
	return id;
}

static int compare_before(struct version_text a, struct version_text b)
{
	int order = 0;

	if (!a.p || !b.p)
		return !a.p - !b.p;
	while (!order && a.p < a.end && b.p < b.end) {
		struct version_text id_a = take_identifier(&a), id_b = take_identifier(&b);
		bool is_a = skip_digits(id_a.p, id_a.end).end == id_a.end;
		bool is_b = skip_digits(id_b.p, id_b.end).end == id_b.end;

		if (is_a != is_b)
			return is_a ? -1 : 1;
		order = is_a ? compare_digits(id_a, id_b) : compare_bytes(id_a, id_b);
	}
	return order ? order : (a.p < a.end) - (b.p < b.end);
}

static int compare_semver(struct version_text a, struct version_text b)
{
	struct semver s_a, s_b;
	int order = 0;

	if (!read_semver(a, &s_a) || !read_semver(b, &s_b))
		return compare_parts(a, b);
	for (int i = 0; i < 3 && !order; i++)
		order = compare_digits(s_a.number[i], s_b.number[i]);
	return order ? order : compare_before(s_a.before, s_b.before);
}

/* ---- all of them ---- */

int query_version_order(enum vd_version_scheme scheme, struct version_text a, struct version_text b)
{
	switch (scheme) {
	case VD_VERSION_DEB:
		return compare_deb(a, b);
	case VD_VERSION_RPM:
		return compare_rpm(a, b);
	case VD_VERSION_SEMVER:
		return compare_semver(a, b);
	case VD_VERSION_PARTS:
		break;
	}
	return compare_parts(a, b);
}

int vd_version_compare(enum vd_version_scheme scheme, const char *a, const char *b)
{
	return query_version_order(scheme, (struct version_text){a, a + strlen(a)},
				   (struct version_text){b, b + strlen(b)});
}

enum vd_version_scheme vd_version_scheme_of(const char *purl_type)
{
	static const char *const semver[] = {"npm", "cargo",    "golang", "nuget", "gem",
					     "hex", "composer", "pub",    "swift"};

	if (strcmp(purl_type, "deb") == 0)
		return VD_VERSION_DEB;
	if (strcmp(purl_type, "rpm") == 0)
		return VD_VERSION_RPM;
	for (size_t i = 0; i < sizeof(semver) / sizeof(*semver); i++) {
		if (strcmp(purl_type, semver[i]) == 0)
			return VD_VERSION_SEMVER;
	}
	return VD_VERSION_PARTS;
}
