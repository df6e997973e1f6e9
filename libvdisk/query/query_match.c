/* SPDX-License-Identifier: MIT */
/*
 * Does an image fit? First everything but the terms about files is worked out, with three answers:
 * yes, no, and "it hangs on files". Only if the whole hangs on files are those asked that it hangs
 * on. Then, if somebody wants to hear them, the facts are told that made terms true.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "query/query_tree.h"

enum answer { NO = 0, YES = 1, OPEN = 2 };

/** What a term is asked of: all facts, or those of one entry. */
struct scope {
	const struct vd_fact *const *facts; /* of an entry; NULL: all */
	size_t n;
};
struct matcher {
	const struct vd_query_subject *subject;
	struct vd_query_answer *answer;
	struct vd_error *err;
	uint32_t n_runs;
	uint8_t *known; /* by node: its answer + 1; NULL: isn't kept */
	char **paths;   /* by file term: what was found */
};

#define PATH_ROOM 4096
#define FEW       64 /* facts of entries that need no memory */

/* ---- facts of a field ---- */

struct walk {
	const char *field;
	uint32_t run;
	size_t i;
	bool is_in;
};

static size_t first_of(const struct vd_fact_run *run, const char *field)
{
	size_t low = 0, high = run->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(run->facts[middle].field, field) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static const struct vd_fact *next_fact(const struct matcher *m, const struct scope *scope,
				       struct walk *walk)
{
	if (scope->facts) {
		while (walk->i < scope->n) {
			const struct vd_fact *fact = scope->facts[walk->i++];

			if (strcmp(fact->field, walk->field) == 0)
				return fact;
		}
		return NULL;
	}
	for (; walk->run < m->n_runs; walk->run++, walk->is_in = false) {
		const struct vd_fact_run *run = &m->subject->runs[walk->run];

		if (!walk->is_in)
			walk->i = first_of(run, walk->field);
		walk->is_in = true;
		if (walk->i < run->n && strcmp(run->facts[walk->i].field, walk->field) == 0)
			return &run->facts[walk->i++];
	}
	return NULL;
}

/* ---- terms and words ---- */

static void tell(const struct matcher *m, const struct query_node *node, const struct vd_fact *fact)
{
	m->subject->hit(m->subject->user, &node->pub, fact);
}

/** limit 0: is it true? Else tell up to so many facts that make it so. */
static int eval_term(const struct matcher *m, const struct scope *scope,
		     const struct query_node *node, unsigned limit)
{
	bool is_not = node->pub.op == VD_QUERY_NE, has_any = false;

	for (size_t i = 0; i < node->n_operands; i++) {
		const struct operand *operand = &node->operands[i];
		struct walk walk = {.field = operand->field->name};
		const struct vd_fact *fact;

		while ((fact = next_fact(m, scope, &walk))) {
			int ret = 0;

			/* Of a "!=" that is known to hold, all facts tell. */
			if (!is_not || !limit)
				ret = query_test(node, operand, fact, m->subject->now, m->err);
			if (ret < 0)
				return ret;
			has_any = true;
			if (ret && !limit)
				return is_not ? NO : YES;
			if (limit && (ret || is_not)) {
				tell(m, node, fact);
				if (!--limit)
					return YES;
			}
		}
	}
	return is_not && has_any ? YES : NO;
}

static int eval_word(const struct matcher *m, const struct query_node *node, unsigned limit)
{
	for (uint32_t r = 0; r < m->n_runs; r++) {
		const struct vd_fact_run *run = &m->subject->runs[r];

		for (size_t i = 0; i < run->n; i++) {
			const struct vd_fact *fact = &run->facts[i];
			bool is_in = node->glob ? query_glob_has_word(node->glob, fact->key)
						: query_has_word(fact->key, node->words);

			if (!is_in || !query_field_has_words(fact->field))
				continue;
			if (!limit)
				return YES;
			tell(m, node, fact);
			if (!--limit)
				return YES;
		}
	}
	return NO;
}

/* ---- entries ---- */

static int eval(struct matcher *m, const struct scope *scope, const struct query_node *node);
static int report(struct matcher *m, const struct scope *scope, const struct query_node *node);

static int by_group(const void *a, const void *b)
{
	const struct vd_fact *x = *(const struct vd_fact *const *)a;
	const struct vd_fact *y = *(const struct vd_fact *const *)b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	/* They lie in one run, which is sorted. */
	return (x > y) - (x < y);
}

/** The facts of a run that are of the field `prefix` (with its ".") or below it. */
static size_t gather(const struct vd_fact_run *run, const char *prefix, const struct vd_fact **list)
{
	size_t len = strlen(prefix), n = 0, i;
	char field[128];

	if (len > sizeof(field))
		return 0;
	memcpy(field, prefix, len - 1);
	field[len - 1] = '\0';
	for (i = first_of(run, field); i < run->n && strcmp(run->facts[i].field, field) == 0; i++)
		if (list)
			list[n++] = &run->facts[i];
		else
			n++;
	for (i = first_of(run, prefix);
	     i < run->n && strncmp(run->facts[i].field, prefix, len) == 0; i++)
		if (list)
			list[n++] = &run->facts[i];
		else
			n++;
	return n;
}

/** Each entry of a run: is there one for which the inside holds? Or tell of so many that do. */
static int eval_entries(struct matcher *m, const struct query_node *node,
			const struct vd_fact **list, size_t n, unsigned limit)
{
	const struct query_node *inner = query_child(node, 0);
	size_t end;

	for (size_t i = 0; i < n; i = end) {
		struct scope entry = {&list[i], 1};
		int ret;

		for (end = i + 1; list[i]->group && end < n && list[end]->group == list[i]->group;)
			end++;
		entry.n = end - i;
		ret = eval(m, &entry, inner);
		if (ret < 0 || (ret == YES && !limit))
			return ret;
		if (ret == YES) {
			ret = report(m, &entry, inner);
			if (ret < 0 || !--limit)
				return ret;
		}
	}
	return NO;
}

static int eval_entry(struct matcher *m, const struct query_node *node, unsigned limit)
{
	int ret = NO;

	for (uint32_t r = 0; r < m->n_runs && ret == NO; r++) {
		const struct vd_fact_run *run = &m->subject->runs[r];
		const struct vd_fact *few[FEW];
		VD_AUTO_FREE const struct vd_fact **many = NULL;
		const struct vd_fact **list = few;
		size_t n = gather(run, node->pub.field, NULL);

		if (n > FEW) {
			list = many = vd_malloc(n * sizeof(const struct vd_fact *));
			if (!many)
				return vd_no_memory(m->err, n * sizeof(*list), "entries");
		}
		gather(run, node->pub.field, list);
		if (n > 1)
			qsort(list, n, sizeof(*list), by_group);
		ret = eval_entries(m, node, list, n, limit);
	}
	return ret;
}

/* ---- the tree ---- */

static int eval_list(struct matcher *m, const struct scope *scope, const struct query_node *node,
		     enum answer deciding)
{
	int all = deciding == YES ? NO : YES;

	for (size_t i = 0; i < node->pub.n_children; i++) {
		int ret = eval(m, scope, query_child(node, i));

		if (ret < 0 || ret == (int)deciding)
			return ret;
		if (ret == OPEN)
			all = OPEN;
	}
	return all;
}

static int eval_fresh(struct matcher *m, const struct scope *scope, const struct query_node *node)
{
	int ret;

	switch (node->pub.kind) {
	case VD_QUERY_ALL:
		return YES;
	case VD_QUERY_AND:
		return eval_list(m, scope, node, NO);
	case VD_QUERY_OR:
		return eval_list(m, scope, node, YES);
	case VD_QUERY_NOT:
		ret = eval(m, scope, query_child(node, 0));
		return ret < 0 || ret == OPEN ? ret : !ret;
	case VD_QUERY_ENTRY:
		return eval_entry(m, node, 0);
	case VD_QUERY_WORD:
		return eval_word(m, node, 0);
	case VD_QUERY_TERM:
		return eval_term(m, scope, node, 0);
	case VD_QUERY_FILE:
	case VD_QUERY_SHA256:
		break;
	}
	return OPEN;
}

static int eval(struct matcher *m, const struct scope *scope, const struct query_node *node)
{
	int ret;

	if (!m->known || scope->facts)
		return eval_fresh(m, scope, node);
	if (m->known[node->index])
		return m->known[node->index] - 1;
	ret = eval_fresh(m, scope, node);
	if (ret >= 0)
		m->known[node->index] = (uint8_t)(ret + 1);
	return ret;
}

/* ---- files ---- */

static int ask_file(struct matcher *m, const struct query_node *node)
{
	VD_AUTO_FREE char *path = vd_calloc(1, PATH_ROOM);
	struct vd_error why = VD_ERROR_INIT;
	int ret = VD_ENOENT;

	if (!path)
		return vd_no_memory(m->err, PATH_ROOM, "a path");
	if (m->subject->files)
		ret = m->subject->files(m->subject->user, &node->pub, path, PATH_ROOM, &why);
	if (ret == VD_ENOENT) {
		m->answer->lacks_file_index = true;
		return NO;
	}
	if (ret < 0 && m->err)
		*m->err = why;
	if (ret > 0 && m->subject->hit) {
		path[PATH_ROOM - 1] = '\0';
		vd_free(m->paths[node->file_index]);
		m->paths[node->file_index] = VD_TAKE(path);
	}
	return ret > 0 ? YES : ret;
}

/** Decide what hangs on files. */
static int settle(struct matcher *m, const struct query_node *node)
{
	const struct scope all = {NULL, 0};
	enum answer deciding = node->pub.kind == VD_QUERY_OR ? YES : NO;
	int ret = eval(m, &all, node);

	if (ret != OPEN)
		return ret;
	if (node->pub.kind == VD_QUERY_NOT) {
		ret = settle(m, query_child(node, 0));
		ret = ret < 0 ? ret : !ret;
	} else if (node->pub.kind == VD_QUERY_FILE || node->pub.kind == VD_QUERY_SHA256) {
		ret = ask_file(m, node);
	} else {
		/* None of the children decides without files. */
		for (size_t i = 0; i < node->pub.n_children; i++) {
			ret = settle(m, query_child(node, i));
			if (ret < 0 || ret == (int)deciding)
				break;
		}
	}
	if (ret >= 0)
		m->known[node->index] = (uint8_t)(ret + 1);
	return ret;
}

/* ---- telling why ---- */

static void report_file(const struct matcher *m, const struct query_node *node)
{
	const char *path = m->paths ? m->paths[node->file_index] : NULL;
	const struct vd_fact fact = {"file", path, path, 0};

	if (path)
		tell(m, node, &fact);
}

/** Of a node that is true. */
static int report(struct matcher *m, const struct scope *scope, const struct query_node *node)
{
	int ret = 0;

	switch (node->pub.kind) {
	case VD_QUERY_TERM:
		return eval_term(m, scope, node, QUERY_HITS_MAX);
	case VD_QUERY_WORD:
		return eval_word(m, node, QUERY_HITS_MAX);
	case VD_QUERY_ENTRY:
		return eval_entry(m, node, QUERY_HITS_MAX);
	case VD_QUERY_FILE:
	case VD_QUERY_SHA256:
		report_file(m, node);
		return 0;
	case VD_QUERY_AND:
	case VD_QUERY_OR:
		for (size_t i = 0; i < node->pub.n_children && ret >= 0; i++) {
			ret = eval(m, scope, query_child(node, i));
			if (ret == YES)
				ret = report(m, scope, query_child(node, i));
		}
		return ret;
	case VD_QUERY_ALL:
	case VD_QUERY_NOT:
		break;
	}
	return 0;
}

/** Answers are kept only where they are asked again. */
static int make_room(struct matcher *m, const struct vd_query *query)
{
	if (!query->n_files && !m->subject->hit)
		return 0;
	m->known = vd_calloc(query->n_nodes, 1);
	if (!m->known)
		return vd_no_memory(m->err, query->n_nodes, "answers");
	if (!query->n_files)
		return 0;
	m->paths = vd_calloc(query->n_files, sizeof(*m->paths));
	return m->paths ? 0 : vd_no_memory(m->err, query->n_files * sizeof(*m->paths), "paths");
}

int vd_query_match(const struct vd_query *query, const struct vd_query_subject *subject,
		   struct vd_query_answer *answer, struct vd_error *err)
{
	const struct scope all = {NULL, 0};
	struct matcher m = {.subject = subject, .answer = answer, .err = err};
	int ret;

	answer->is_match = answer->lacks_file_index = false;
	m.n_runs = subject->n_runs < VD_QUERY_RUNS_MAX ? subject->n_runs : VD_QUERY_RUNS_MAX;
	ret = make_room(&m, query);
	if (!ret)
		ret = query->n_files ? settle(&m, query->root) : eval(&m, &all, query->root);
	answer->is_match = ret == YES;
	if (ret == YES && subject->hit)
		ret = report(&m, &all, query->root);
	for (size_t i = 0; m.paths && i < query->n_files; i++)
		vd_free(m.paths[i]);
	vd_free(m.paths);
	vd_free(m.known);
	return ret < 0 ? ret : 0;
}
