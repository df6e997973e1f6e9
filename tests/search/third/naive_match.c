/* SPDX-License-Identifier: MIT */
/* Does an image fit? Each kind of term asks each fact. */
#include "naive.h"

#include <string.h>
#include <strings.h>

/* The facts that are asked: all of an image, or those of an entry. */
struct facts {
	const struct naive_fact **at;
	size_t n;
};

static const struct naive_field *field_of(const struct naive_fact *fact)
{
	return &naive.fields[fact->field];
}

static bool is_type(const struct naive_fact *fact, const char *type)
{
	return !strcmp(field_of(fact)->type, type);
}

/* Words of a text, parted by white space, each followed by one blank. */
static char *words(const char *text)
{
	char *out = naive_memory(strlen(text) + 2);
	size_t n = 0;

	while (*text) {
		size_t len;

		text += strspn(text, " \t\n\r");
		len = strcspn(text, " \t\n\r");
		if (!len)
			break;
		memcpy(out + n, text, len);
		n += len;
		out[n++] = ' ';
		text += len;
	}
	return out;
}

static bool has_words(const char *text, const char *value)
{
	const char *all = words(text), *wanted = words(value);

	for (const char *at = all; *at; at += strcspn(at, " ") + 1)
		if (*wanted && !strncmp(at, wanted, strlen(wanted)))
			return true;
	return false;
}

/* ---- words ---- */

static bool stands_in(const int32_t *text, const int32_t *word)
{
	for (size_t k = 0; text[k] != -1; k++) {
		size_t n = 0;

		while (word[n] != -1 && text[k + n] == word[n])
			n++;
		if (word[n] == -1 && !(k && naive_is_alnum(text[k - 1])) &&
		    !(text[k + n] != -1 && naive_is_alnum(text[k + n])))
			return true;
	}
	return false;
}

/* Runs of white space as one blank. */
static char *one_blank(const char *text)
{
	char *out = naive_memory(strlen(text) + 1);
	size_t n = 0;

	for (; *text; text++) {
		if (!strchr(" \t\n\r", *text))
			out[n++] = *text;
		else if (!n || out[n - 1] != ' ')
			out[n++] = ' ';
	}
	return out;
}

static bool run_fits(const struct naive_value *pattern, const char *key)
{
	const char *from = key;
	int32_t *points = naive_points(key);
	const char *at = key;

	for (size_t k = 0;; k++) {
		if (points[k] == -1 || !naive_is_alnum(points[k])) {
			if (at > from &&
			    naive_glob(pattern, naive_text(from, (size_t)(at - from)), false))
				return true;
			if (points[k] == -1)
				return false;
		}
		at++;
		while ((*at & 0xc0) == 0x80)
			at++;
		if (!naive_is_alnum(points[k]))
			from = at;
	}
}

static bool fits_word(const struct naive_fact *fact, const struct naive_value *value)
{
	const char *name = field_of(fact)->name;
	bool is_asked = is_type(fact, "text") || is_type(fact, "word") ||
			is_type(fact, "version") || is_type(fact, "purl");

	if (!is_asked || !strncmp(name, "history.", 8) || !strncmp(name, "metadata.", 9))
		return false;
	if (!strncmp(name, "image.", 6) && strcmp(name, "image.name") != 0)
		return false;
	if (value->is_glob)
		return naive_glob(value, fact->key, false) || run_fits(value, fact->key);
	return stands_in(naive_points(one_blank(fact->key)), naive_points(one_blank(value->key)));
}

/* ---- terms ---- */

static bool holds(int order, enum naive_op op)
{
	switch (op) {
	case LT:
		return order < 0;
	case LE:
		return order <= 0;
	case GT:
		return order > 0;
	case GE:
		return order >= 0;
	case NE:
		return order != 0;
	default:
		return order == 0;
	}
}

static bool same_key(const char *text, const char *key)
{
	return text && !strcmp(naive_key(text), key);
}

static char *join(const char *a, const char *b)
{
	char *out = naive_memory(strlen(a) + strlen(b) + 2);

	return strcat(strcat(strcpy(out, a), "/"), b);
}

/* The names that a package goes by. */
static size_t names_of(const struct naive_purl *p, char *names[3])
{
	size_t n = 0;

	names[n++] = p->name;
	if (p->namespace)
		names[n++] = join(p->namespace, p->name);
	names[n] = join(p->type, names[n - 1]);
	return n + 1;
}

static bool names_package(const char *purl, const char *key, const struct naive_value *value)
{
	struct naive_purl p = naive_purl(purl);
	bool is_url = !strncmp(value->key, "pkg:", 4);
	char *names[3];
	size_t n = names_of(&p, names);

	if (value->is_glob && is_url)
		return naive_glob(value, key, false);
	if (is_url)
		return !strcmp(value->key, key) || same_key(p.before_version, value->key) ||
		       same_key(p.before_qualifiers, value->key);
	for (size_t k = 0; k < n; k++) {
		const char *name = naive_key(names[k]);

		if (value->is_glob ? naive_glob(value, name, false) : !strcmp(name, value->key))
			return true;
	}
	return false;
}

static bool fits_pair(const struct naive_fact *fact, const struct naive_query *q)
{
	struct naive_purl p;
	const char *equals;

	if (is_type(fact, "purl")) {
		p = naive_purl(fact->value);
		return p.version && names_package(fact->value, fact->key, &q->value) &&
		       holds(naive_version(p.type, p.version, q->pair_value.text), q->pair_op);
	}
	equals = strchr(fact->value, '=');
	return equals &&
	       same_key(naive_text(fact->value, (size_t)(equals - fact->value)), q->value.key) &&
	       holds(naive_version(NULL, equals + 1, q->pair_value.text), q->pair_op);
}

static bool fits_ordered(const struct naive_fact *fact, const struct naive_value *value,
			 enum naive_op op)
{
	const struct naive_field *f = field_of(fact);
	__int128 a, b;

	if (is_type(fact, "version"))
		return holds(naive_version(NULL, fact->value, value->text), op);
	if (is_type(fact, "word"))
		return holds(naive_rank(f, fact->value) - naive_rank(f, value->text), op);
	if (!naive_number(f, fact->value, 0, false, &a) ||
	    !naive_number(f, value->text, naive.now, true, &b))
		return false;
	return holds(a < b ? -1 : a > b, op);
}

/* ":" of a text. */
static bool has_text(const struct naive_fact *fact, const struct naive_value *value)
{
	const char *equals;

	if (!strcmp(fact->key, value->key))
		return true;
	if (strcmp(field_of(fact)->name, "tag") != 0)
		return has_words(fact->key, value->key);
	equals = strchr(fact->value, '=');
	return equals &&
	       same_key(naive_text(fact->value, (size_t)(equals - fact->value)), value->key);
}

/* One fact, for all operators but "!=". */
static bool fits_one(const struct naive_fact *fact, const struct naive_query *q, enum naive_op op)
{
	const struct naive_value *value = &q->value;

	if (q->pair_op)
		return fits_pair(fact, q);
	if (op == HAS && value->is_glob)
		return is_type(fact, "purl") ? names_package(fact->value, fact->key, value)
					     : naive_glob(value, fact->key, false);
	if (!naive_is_readable(field_of(fact), value, op))
		return false;
	if (is_type(fact, "text"))
		return op > NE     ? false
		       : op == HAS ? has_text(fact, value)
				   : !strcmp(fact->key, value->key);
	if (is_type(fact, "purl"))
		return op > NE     ? false
		       : op == HAS ? names_package(fact->value, fact->key, value)
				   : !strcmp(fact->key, value->key);
	if (is_type(fact, "bool") || is_type(fact, "uuid"))
		return op <= EQ && !strcmp(fact->value, naive_normal(field_of(fact), value->text));
	if (is_type(fact, "word") && op > NE &&
	    strncmp(field_of(fact)->choices, "unknown|none", 12))
		return false;
	return fits_ordered(fact, value, op);
}

static bool is_presence(const struct naive_query *q)
{
	return q->op == HAS && !q->pair_op && q->value.len == 1 && q->value.is_plain[0] &&
	       q->value.text[0] == '*';
}

static bool match_term(const struct naive_query *q, struct facts facts)
{
	size_t n_values = 0, n_fit = 0;

	for (size_t k = 0; k < facts.n; k++) {
		if (!q->fields[facts.at[k]->field])
			continue;
		n_values++;
		n_fit += fits_one(facts.at[k], q, q->op == NE ? EQ : q->op);
	}
	if (is_presence(q))
		return n_values > 0;
	return q->op == NE ? n_values > 0 && n_fit == 0 : n_fit > 0;
}

/* ---- queries ---- */

static bool match(const struct naive_query *q, const struct naive_image *image, struct facts facts);

static bool match_entry(const struct naive_query *q, const struct naive_image *image,
			struct facts facts)
{
	size_t len = strlen(q->prefix);

	if (len > 2 && !strcmp(q->prefix + len - 2, ".*"))
		len -= 2;
	for (size_t k = 0; k < facts.n; k++) {
		const char *name = field_of(facts.at[k])->name;
		struct facts entry = {0};

		if (strncasecmp(name, q->prefix, len) != 0 || (name[len] && name[len] != '.'))
			continue;
		entry.at = naive_memory(facts.n * sizeof(*entry.at));
		for (size_t j = 0; j < facts.n; j++)
			if (j == k ||
			    (facts.at[k]->group && facts.at[j]->group == facts.at[k]->group))
				entry.at[entry.n++] = facts.at[j];
		if (match(q->a, image, entry))
			return true;
	}
	return false;
}

static bool match_file(const struct naive_query *q, const struct naive_file *file)
{
	if (q->kind == SHA256)
		return !strcasecmp(file->sha256, q->value.text);
	return naive_glob(&q->value, file->key, true);
}

static bool match(const struct naive_query *q, const struct naive_image *image, struct facts facts)
{
	switch (q->kind) {
	case ALL:
		return true;
	case AND:
		return match(q->a, image, facts) && match(q->b, image, facts);
	case OR:
		return match(q->a, image, facts) || match(q->b, image, facts);
	case NOT:
		return !match(q->a, image, facts);
	case ENTRY:
		return match_entry(q, image, facts);
	case TERM:
		return match_term(q, facts);
	case WORD:
		for (size_t k = 0; k < facts.n; k++)
			if (fits_word(facts.at[k], &q->value))
				return true;
		return false;
	case FILES:
	case SHA256:
		for (size_t k = 0; k < image->n_files; k++)
			if (match_file(q, &image->files[k]))
				return true;
		return false;
	}
	return false;
}

bool naive_match(const struct naive_query *query, const struct naive_image *image)
{
	struct facts all = {naive_memory((image->n_facts + 1) * sizeof(*all.at)), image->n_facts};

	for (size_t k = 0; k < image->n_facts; k++)
		all.at[k] = &image->facts[k];
	return match(query, image, all);
}
