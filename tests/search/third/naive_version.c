/* SPDX-License-Identifier: MIT */
/* Orders of versions: Debian Policy 5.6.12, rpmvercmp, Semantic Versioning 2.0, and parts. */
#include "naive.h"

#include <ctype.h>
#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static size_t count_digits(const char *s)
{
	size_t n = 0;

	while (is_digit(s[n]))
		n++;
	return n;
}

/* Numbers of any length. */
static int compare_digits(const char *a, size_t na, const char *b, size_t nb)
{
	while (na && *a == '0')
		a++, na--;
	while (nb && *b == '0')
		b++, nb--;
	if (na != nb)
		return na < nb ? -1 : 1;
	return na ? memcmp(a, b, na) : 0;
}

/* ---- Debian ---- */

static int deb_order(char c)
{
	if (c == '~')
		return -1;
	if (c == '\0' || is_digit(c))
		return 0;
	return is_letter(c) ? (unsigned char)c : (unsigned char)c + 256;
}

static int deb_part(const char *a, const char *b)
{
	while (*a || *b) {
		size_t na, nb;
		int c;

		while ((*a && !is_digit(*a)) || (*b && !is_digit(*b))) {
			if (deb_order(*a) != deb_order(*b))
				return deb_order(*a) - deb_order(*b);
			if (*a && !is_digit(*a))
				a++;
			if (*b && !is_digit(*b))
				b++;
		}
		na = count_digits(a), nb = count_digits(b);
		c = compare_digits(a, na, b, nb);
		if (c)
			return c;
		a += na, b += nb;
	}
	return 0;
}

static void split_epoch(const char *v, char **epoch, const char **rest)
{
	const char *colon = strchr(v, ':');

	*epoch = colon ? naive_text(v, (size_t)(colon - v)) : naive_text("0", 1);
	*rest = colon ? colon + 1 : v;
}

static int compare_deb(const char *a, const char *b)
{
	char *epoch_a, *epoch_b, *up_a, *up_b;
	const char *dash_a, *dash_b;
	int c;

	split_epoch(a, &epoch_a, &a);
	split_epoch(b, &epoch_b, &b);
	c = deb_part(epoch_a, epoch_b);
	if (c)
		return c;
	dash_a = strrchr(a, '-'), dash_b = strrchr(b, '-');
	up_a = naive_text(a, dash_a ? (size_t)(dash_a - a) : strlen(a));
	up_b = naive_text(b, dash_b ? (size_t)(dash_b - b) : strlen(b));
	c = deb_part(up_a, up_b);
	return c ? c : deb_part(dash_a ? dash_a + 1 : "0", dash_b ? dash_b + 1 : "0");
}

/* ---- RPM ---- */

static bool rpm_counts(char c)
{
	return c == '\0' || is_digit(c) || is_letter(c) || c == '~' || c == '^';
}

static size_t count_letters(const char *s)
{
	size_t n = 0;

	while (is_letter(s[n]))
		n++;
	return n;
}

/* What comes first if one of both stands at a "~" or "^"; 2: both or none. */
static int rpm_marks(const char *a, const char *b)
{
	if (*a == '~' || *b == '~')
		return *a == *b ? 2 : *a == '~' ? -1 : 1;
	if (*a == '^' && *b == '^')
		return 2;
	if (*a == '^')
		return *b ? -1 : 1;
	if (*b == '^')
		return *a ? 1 : -1;
	return 2;
}

static int rpm_part(const char *a, const char *b)
{
	for (;;) {
		size_t na, nb;
		int c;

		while (!rpm_counts(*a))
			a++;
		while (!rpm_counts(*b))
			b++;
		c = rpm_marks(a, b);
		if (c != 2)
			return c;
		if (*a == '~' || *a == '^') {
			a++, b++;
			continue;
		}
		if (!*a || !*b)
			return *a ? 1 : *b ? -1 : 0;
		if (is_digit(*a) != is_digit(*b))
			return is_digit(*a) ? 1 : -1;
		if (is_digit(*a)) {
			na = count_digits(a), nb = count_digits(b);
			c = compare_digits(a, na, b, nb);
		} else {
			na = count_letters(a), nb = count_letters(b);
			c = strcmp(naive_text(a, na), naive_text(b, nb));
		}
		if (c)
			return c;
		a += na, b += nb;
	}
}

static int compare_rpm(const char *a, const char *b)
{
	char *epoch_a, *epoch_b, *ver_a, *ver_b;
	const char *dash_a, *dash_b;
	int c;

	split_epoch(a, &epoch_a, &a);
	split_epoch(b, &epoch_b, &b);
	c = rpm_part(epoch_a, epoch_b);
	if (c)
		return c;
	dash_a = strrchr(a, '-'), dash_b = strrchr(b, '-');
	ver_a = naive_text(a, dash_a ? (size_t)(dash_a - a) : strlen(a));
	ver_b = naive_text(b, dash_b ? (size_t)(dash_b - b) : strlen(b));
	c = rpm_part(ver_a, ver_b);
	if (c || !dash_a || !dash_b)
		return c;
	return rpm_part(dash_a + 1, dash_b + 1);
}

/* ---- Semantic Versioning ---- */

struct semver {
	char *core[3];
	char *pre; /* NULL: none */
};

static bool read_idents(const char *s, size_t len, bool no_zeros)
{
	size_t start = 0;

	for (size_t k = 0; k <= len; k++) {
		if (k < len && s[k] != '.') {
			if (!is_digit(s[k]) && !is_letter(s[k]) && s[k] != '-')
				return false;
			continue;
		}
		if (k == start)
			return false;
		if (no_zeros && s[start] == '0' && k - start > 1 &&
		    count_digits(s + start) >= k - start)
			return false;
		start = k + 1;
	}
	return true;
}

static bool read_semver(const char *s, struct semver *v)
{
	size_t n;

	s += *s == 'v'; /* as Go writes them */

	for (int k = 0; k < 3; k++) {
		n = count_digits(s);
		if (!n || (n > 1 && *s == '0') || (k < 2 && s[n] != '.'))
			return false;
		v->core[k] = naive_text(s, n);
		s += n + (k < 2);
	}
	v->pre = NULL;
	if (*s == '-') {
		n = strcspn(s + 1, "+");
		if (!read_idents(s + 1, n, true))
			return false;
		v->pre = naive_text(s + 1, n);
		s += n + 1;
	}
	return !*s || (*s == '+' && read_idents(s + 1, strlen(s + 1), false));
}

static int compare_ident(const char *a, const char *b)
{
	bool is_number_a = count_digits(a) == strlen(a), is_number_b = count_digits(b) == strlen(b);

	if (is_number_a && is_number_b)
		return compare_digits(a, strlen(a), b, strlen(b));
	if (is_number_a != is_number_b)
		return is_number_a ? -1 : 1;
	return strcmp(a, b);
}

static int compare_pre(const char *a, const char *b)
{
	while (*a && *b) {
		size_t na = strcspn(a, "."), nb = strcspn(b, ".");
		int c = compare_ident(naive_text(a, na), naive_text(b, nb));

		if (c)
			return c;
		a += na + (a[na] == '.');
		b += nb + (b[nb] == '.');
	}
	return *a ? 1 : *b ? -1 : 0;
}

static int compare_semver(const struct semver *a, const struct semver *b)
{
	for (int k = 0; k < 3; k++) {
		int c =
		    compare_digits(a->core[k], strlen(a->core[k]), b->core[k], strlen(b->core[k]));

		if (c)
			return c;
	}
	if (!a->pre || !b->pre)
		return a->pre ? -1 : b->pre ? 1 : 0;
	return compare_pre(a->pre, b->pre);
}

/* ---- part by part ---- */

/* The next part: its rank (0 "~", 1 end, 2 other, 3 digits) and length. */
static int next_part(const char **s, size_t *len)
{
	while (ispunct((unsigned char)**s) && **s != '~')
		(*s)++;
	*len = 1;
	if (**s == '~')
		return 0;
	if (!**s)
		return 1;
	*len = count_digits(*s);
	if (*len)
		return 3;
	while ((*s)[*len] && !is_digit((*s)[*len]) && !ispunct((unsigned char)(*s)[*len]))
		(*len)++;
	return 2;
}

static int compare_parts(const char *a, const char *b)
{
	for (;;) {
		size_t na, nb;
		int rank_a = next_part(&a, &na), rank_b = next_part(&b, &nb), c = 0;

		if (rank_a != rank_b)
			return rank_a - rank_b;
		if (rank_a == 1)
			return 0;
		if (rank_a == 3)
			c = compare_digits(a, na, b, nb);
		else if (rank_a == 2)
			c = strcmp(naive_text(a, na), naive_text(b, nb));
		if (c)
			return c;
		a += na, b += nb;
	}
}

int naive_version(const char *type, const char *a, const char *b)
{
	static const char *const semantic[] = {"npm",      "cargo", "golang", "nuget", "gem",
					       "composer", "hex",   "pub",    "swift"};
	struct semver va, vb;

	if (type && !strcmp(type, "deb"))
		return compare_deb(a, b);
	if (type && !strcmp(type, "rpm"))
		return compare_rpm(a, b);
	for (size_t k = 0; type && k < sizeof(semantic) / sizeof(semantic[0]); k++)
		if (!strcmp(type, semantic[k]) && read_semver(a, &va) && read_semver(b, &vb))
			return compare_semver(&va, &vb);
	return compare_parts(a, b);
}
