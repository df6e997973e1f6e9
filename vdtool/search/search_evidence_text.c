/* SPDX-License-Identifier: MIT */
/*
 * What a line for people says of why an image was found: "openssl 3.0.11-1", "hardware.memory=8
 * GiB". What the query says itself, and must hold, isn't repeated.
 */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "output.h"
#include "search_print.h"

#define CUT "..."

size_t search_text_width(const char *text)
{
	size_t width = 0;

	while (*text) {
		utf8proc_int32_t point;
		utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &point);

		width += n <= 0 ? 1 : (size_t)utf8proc_charwidth(point);
		text += n <= 0 ? 1 : n;
	}
	return width;
}

/** Keep at most `width` columns of harmless text. */
static void cut_text(char *text, size_t width)
{
	size_t used = 0, at = 0;

	if (search_text_width(text) <= width)
		return;
	if (width < strlen(CUT)) {
		*text = '\0';
		return;
	}
	while (text[at]) {
		utf8proc_int32_t point;
		utf8proc_ssize_t n =
		    utf8proc_iterate((const utf8proc_uint8_t *)text + at, -1, &point);
		size_t more = n <= 0 ? 1 : (size_t)utf8proc_charwidth(point);

		if (used + more > width - strlen(CUT))
			break;
		used += more;
		at += n <= 0 ? 1 : (size_t)n;
	}
	strcpy(text + at, CUT); /* what was cut off took as many bytes */
}

/** The query demands just this value of every image. */
static bool is_demanded(const struct vd_query_node *node, const struct vd_fact *fact)
{
	if (node->kind == VD_QUERY_AND) {
		for (size_t i = 0; i < node->n_children; i++) {
			if (is_demanded(node->children[i], fact))
				return true;
		}
	}
	return node->kind == VD_QUERY_TERM && !node->is_glob && !node->is_prefix &&
	       !node->pair_op && (node->op == VD_QUERY_HAS || node->op == VD_QUERY_EQ) &&
	       strcmp(node->field, fact->field) == 0 && strcmp(node->key, fact->key) == 0;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

static void put_decoded(FILE *f, const char *text, size_t len)
{
	char *plain = malloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len && plain; i++) {
		int high = text[i] == '%' && i + 2 < len ? hex_digit(text[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(text[i + 2]) : -1;

		plain[n] = text[i];
		if (low >= 0 && (high || low)) {
			plain[n] = (char)(high << 4 | low);
			i += 2;
		}
		n++;
	}
	if (!plain)
		return;
	plain[n] = '\0';
	tool_print_safe(f, plain);
	free(plain);
}

/** Of a package URL the name and the version. */
static void put_package(FILE *f, const char *purl)
{
	size_t len = strcspn(purl, "?#"), n_name;
	const char *name = purl, *version = memrchr(purl, '@', len);

	n_name = version && version != purl ? (size_t)(version - purl) : len;
	for (size_t i = 0; i < n_name; i++) {
		if (purl[i] == '/' && i + 1 < n_name)
			name = purl + i + 1;
	}
	put_decoded(f, name, n_name - (size_t)(name - purl));
	if (n_name < len) {
		fputc(' ', f);
		put_decoded(f, version + 1, len - n_name - 1);
	}
}

/* ---- entries ---- */

/** How much of the fact's field is that of entries which some "FIELD{...}" of the query asks for.
 */
static size_t entry_field(const struct vd_query_node *node, const struct vd_fact *fact)
{
	size_t n = node->kind == VD_QUERY_ENTRY ? strlen(node->field) : 0, found = 0;

	if (n && node->field[n - 1] == '.')
		n--;
	if (n && strncmp(fact->field, node->field, n) == 0 && fact->field[n] == '.')
		return n;
	for (size_t i = 0; i < node->n_children && !found; i++)
		found = entry_field(node->children[i], fact);
	return found;
}

const struct vd_fact *search_entry_of(const struct vd_query *query, const struct search_hit *hit,
				      const struct vd_fact *fact)
{
	size_t n = fact->group ? entry_field(vd_query_root(query), fact) : 0;

	for (size_t r = 0; n && r < hit->n_runs; r++) {
		for (size_t i = 0; i < hit->runs[r].n; i++) {
			const struct vd_fact *f = &hit->runs[r].facts[i];

			if (f->group == fact->group && strlen(f->field) == n &&
			    memcmp(f->field, fact->field, n) == 0)
				return f;
		}
	}
	return NULL;
}

static bool is_same(const struct vd_fact *a, const struct vd_fact *b)
{
	return a && b && a->group == b->group && strcmp(a->field, b->field) == 0;
}

/* ---- words for people ---- */

static bool speaks_for_itself(const char *field)
{
	return strcmp(field, "tag") == 0 || strcmp(field, "file") == 0 ||
	       strcmp(field, "cve.open") == 0;
}

static void put_value(FILE *f, const struct vd_fact *fact)
{
	const struct vd_field *field = vd_query_field_find(fact->field);
	char size[TOOL_SIZE_TEXT];

	if (field && field->type == VD_FIELD_PURL)
		put_package(f, fact->value);
	else if (field && field->type == VD_FIELD_SIZE)
		fputs(tool_size_format(strtoull(fact->value, NULL, 10), size), f);
	else
		tool_print_safe(f, fact->value);
}

static void put_fact(FILE *f, const struct vd_fact *fact)
{
	const struct vd_field *field = vd_query_field_find(fact->field);

	if (!speaks_for_itself(fact->field) && !(field && field->type == VD_FIELD_PURL)) {
		tool_print_safe(f, fact->field);
		fputc('=', f);
	}
	put_value(f, fact);
}

/** "CVE-2026-1234 (critical, openssl)": the entry, and all that is told of it. `entries`: of each
 *  fact of the hit. */
static void put_entry(FILE *f, const struct search_hit *hit, const struct vd_fact *const *entries,
		      const struct vd_fact *entry)
{
	const char *before = " (";

	put_fact(f, entry);
	for (size_t i = 0; i < hit->n_facts; i++) {
		if (!is_same(entries[i], entry))
			continue;
		fputs(before, f);
		put_value(f, &hit->facts[i]);
		before = ", ";
	}
	if (*before == ',')
		fputc(')', f);
}

/** Was it told with one before fact `i`? */
static bool is_told(const struct search_hit *hit, const struct vd_fact *const *entries, size_t i,
		    const struct vd_fact *entry)
{
	for (size_t k = 0; k < i; k++) {
		if (is_same(&hit->facts[k], entry) || is_same(entries[k], entry))
			return true;
	}
	return false;
}

char *search_evidence_text(const struct vd_query *query, const struct search_hit *hit, size_t width)
{
	const struct vd_query_node *root = vd_query_root(query);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	const struct vd_fact *entries[SEARCH_EVIDENCE_MAX];
	const char *before = "";

	if (!f)
		return NULL;
	for (size_t i = 0; i < hit->n_facts; i++)
		entries[i] = search_entry_of(query, hit, &hit->facts[i]);
	for (size_t i = 0; i < hit->n_facts; i++) {
		const struct vd_fact *fact = entries[i] ? entries[i] : &hit->facts[i];

		if (is_demanded(root, &hit->facts[i]) ||
		    (fact->group && is_told(hit, entries, i, fact)))
			continue;
		fputs(before, f);
		put_entry(f, hit, entries, fact);
		before = ", ";
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	if (width)
		cut_text(text, width);
	return text;
}
