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

static bool speaks_for_itself(const char *field)
{
	return strcmp(field, "tag") == 0 || strcmp(field, "file") == 0 ||
	       strcmp(field, "cve.open") == 0;
}

static void put_fact(FILE *f, const struct vd_fact *fact)
{
	const struct vd_field *field = vd_query_field_find(fact->field);
	char size[TOOL_SIZE_TEXT];

	if (field && field->type == VD_FIELD_PURL) {
		put_package(f, fact->value);
		return;
	}
	if (!speaks_for_itself(fact->field)) {
		tool_print_safe(f, fact->field);
		fputc('=', f);
	}
	if (field && field->type == VD_FIELD_SIZE)
		fputs(tool_size_format(strtoull(fact->value, NULL, 10), size), f);
	else
		tool_print_safe(f, fact->value);
}

char *search_evidence_text(const struct vd_query *query, const struct search_hit *hit, size_t width)
{
	const struct vd_query_node *root = vd_query_root(query);
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	const char *before = "";

	if (!f)
		return NULL;
	for (size_t i = 0; i < hit->n_facts; i++) {
		if (is_demanded(root, &hit->facts[i]))
			continue;
		fputs(before, f);
		put_fact(f, &hit->facts[i]);
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
