/* SPDX-License-Identifier: MIT */
/*
 * Files of rules -> a policy. Whatever is wrong makes a policy with a fault, which denies: nobody
 * goes on without rules because they couldn't be read. Only without memory there is no policy.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/lent.h"
#include "policy/policy_rules.h"
#include "xml/policy_doc.h"

/** Loading in progress. */
struct loader {
	struct vd_policy *policy;
	size_t n_bytes, n_rules; /* read so far; rules with those that are switched off, and offs */
	struct vd_policy_off *offs;
	const char **off_files;
	size_t n_offs;
	const char *file; /* in hand */
	struct vd_error *err;
};

static int no_memory(const struct loader *l)
{
	return vd_no_memory(l->err, sizeof(struct policy_rule), "rules");
}

/** What is wrong, which from now on is all that the policy says. VD_ECORRUPT, which ends loading.
 */
static VD_PRINTF(4, 5) int spoil(const struct loader *l, const char *file, int line,
				 const char *fmt, ...)
{
	struct vd_error own = VD_ERROR_INIT;
	char *fault;
	va_list ap;
	size_t size;

	/* Escapes control characters, too. */
	va_start(ap, fmt);
	vd_error_vset(&own, VD_ECORRUPT, 0, VD_NO_OFFSET, fmt, ap);
	va_end(ap);
	size = strlen(file) + strlen(own.text) + 32;
	fault = vd_malloc(size);
	if (!fault)
		return no_memory(l);
	if (line)
		snprintf(fault, size, "%s:%d: %s", file, line, own.text);
	else
		snprintf(fault, size, "%s: %s", file, own.text);
	vd_free(l->policy->fault);
	l->policy->fault = fault;
	return VD_ECORRUPT;
}

/* ---- one rule ---- */

static int read_effect(const struct loader *l, const struct vd_policy_entry *entry,
		       enum vd_effect *effect)
{
	for (int i = VD_EFFECT_ALLOW; i <= VD_EFFECT_READ_ONLY; i++) {
		*effect = (enum vd_effect)i;
		if (strcmp(entry->effect, vd_effect_name(*effect)) == 0)
			return 0;
	}
	return spoil(l, l->file, entry->line, "effect=\"%s\" is none of allow, deny, read-only",
		     entry->effect);
}

static uint32_t action_bit(const char *name, size_t len)
{
	for (int i = VD_PURPOSE_INSPECT; i <= VD_PURPOSE_EDIT; i++) {
		const char *known = vd_purpose_name((enum vd_purpose)i);

		if (vd_purpose_asks((enum vd_purpose)i) && strlen(known) == len &&
		    memcmp(known, name, len) == 0)
			return 1u << i;
	}
	return 0;
}

static int read_actions(const struct loader *l, const struct vd_policy_entry *entry, uint32_t *bits)
{
	const char *p = entry->actions;

	*bits = 0;
	if (strcmp(p, "*") == 0) {
		*bits = ~0u;
		return 0;
	}
	while (*p) {
		size_t len = strcspn(p, " ");
		uint32_t bit = action_bit(p, len);

		if (!bit)
			return spoil(
			    l, l->file, entry->line,
			    "actions: \"%.*s\" is none of run, mount-ro, mount-rw, convert, "
			    "export, compact, edit; \"*\" stands for all of them",
			    (int)(len < 64 ? len : 64), p);
		*bits |= bit;
		p += len + (p[len] == ' ');
	}
	return *bits ? 0 : spoil(l, l->file, entry->line, "actions: none is named");
}

static int line_at(const struct vd_policy_entry *entry, const struct vd_error *err)
{
	int line = entry->when_line;
	size_t n = err->offset == VD_NO_OFFSET ? 0 : (size_t)err->offset;

	for (const char *p = entry->when; *p && n; p++, n--)
		line += *p == '\n';
	return line;
}

static int read_condition(const struct loader *l, const struct vd_policy_entry *entry,
			  struct policy_rule *rule)
{
	struct vd_query_opts opts = VD_QUERY_OPTS_INIT;
	struct vd_error own = VD_ERROR_INIT;
	struct vd_xpath *xpath = NULL;
	const char *wrong;
	int ret;

	if (!entry->when)
		return 0;
	if (entry->is_xpath) {
		rule->is_xpath = true;
		ret = vd_xpath_compile(&xpath, entry->when, &own);
		vd_xpath_free(xpath);
	} else {
		opts.flags = VD_QUERY_HOST;
		ret = vd_query_parse(&rule->query, entry->when, &opts, &own);
	}
	if (ret == VD_ENOMEM)
		return no_memory(l);
	if (ret)
		return spoil(l, l->file, line_at(entry, &own), "%s: %s",
			     entry->is_xpath ? "when-xpath" : "when", own.text);
	wrong = rule->query ? policy_query_wrong(vd_query_root(rule->query)) : NULL;
	return wrong ? spoil(l, l->file, entry->when_line, "when: %s", wrong) : 0;
}

static const char *keep(const char *text)
{
	return vd_strdup(text ? text : "");
}

/** One more, which is zeroed; NULL: no memory. */
static struct policy_rule *new_rule(struct vd_policy *policy)
{
	struct policy_rule *rule;

	if (policy->n_rules == policy->room) {
		size_t room = policy->room ? 2 * policy->room : 32;
		struct policy_rule *more = vd_realloc(policy->rules, room * sizeof(*more));

		if (!more)
			return NULL;
		policy->rules = more;
		policy->room = room;
	}
	rule = &policy->rules[policy->n_rules++];
	*rule = (struct policy_rule){.query = NULL};
	return rule;
}

static int add_rule(struct loader *l, const struct vd_policy_entry *entry)
{
	struct policy_rule *rule = new_rule(l->policy);
	int ret;

	if (!rule)
		return no_memory(l);
	rule->view.file = l->file;
	rule->view.line = entry->line;
	rule->view.id = keep(entry->id);
	rule->view.actions = keep(entry->actions);
	rule->view.when = keep(entry->when);
	rule->view.reason = keep(entry->reason);
	rule->remedy = keep(entry->remedy);
	if (!rule->view.id || !rule->view.actions || !rule->view.when || !rule->view.reason ||
	    !rule->remedy)
		return no_memory(l);
	/* An answer of ours uses that name: the rules themselves are broken. */
	if (strcmp(entry->id, "policy") == 0)
		return spoil(l, l->file, entry->line, "id=\"policy\" is taken; choose another");
	ret = read_effect(l, entry, &rule->view.effect);
	if (!ret)
		ret = read_actions(l, entry, &rule->action_bits);
	return ret ? ret : read_condition(l, entry, rule);
}

static int add_builtins(struct loader *l)
{
	for (size_t i = 0; i < POLICY_N_BUILTINS; i++) {
		const struct policy_builtin *b = &policy_builtins[i];
		struct policy_rule *rule = new_rule(l->policy);

		if (!rule)
			return no_memory(l);
		*rule = (struct policy_rule){.view = {b->id, NULL, 0, VD_EFFECT_DENY,
						      POLICY_BUILTIN_ACTIONS, b->when, b->reason},
					     .action_bits = 1u << VD_PURPOSE_RUN |
							    1u << VD_PURPOSE_MOUNT_RO |
							    1u << VD_PURPOSE_MOUNT_RW,
					     .remedy = "",
					     .builtin = b};
	}
	return 0;
}

/* ---- files ---- */

static int keep_offs(struct loader *l, struct vd_policy_doc *doc)
{
	size_t n = l->n_offs + doc->n_offs;
	struct vd_policy_off *offs;
	const char **files;

	if (!doc->n_offs)
		return 0;
	offs = vd_realloc(l->offs, n * sizeof(*offs));
	if (!offs)
		return no_memory(l);
	l->offs = offs;
	files = vd_realloc(l->off_files, n * sizeof(*files));
	if (!files)
		return no_memory(l);
	l->off_files = files;
	for (size_t i = 0; i < doc->n_offs; i++) {
		l->offs[l->n_offs] = doc->offs[i];
		doc->offs[i].rule = NULL;
		l->off_files[l->n_offs++] = l->file;
	}
	return 0;
}

/** The rules of the file in hand. */
static int add_bytes(struct loader *l, const char *bytes, size_t len)
{
	struct vd_error own = VD_ERROR_INIT;
	struct vd_policy_doc doc;
	int line = 0, ret;

	l->n_bytes += len;
	if (l->n_bytes > POLICY_BYTES_MAX)
		return spoil(l, l->file, 0, "the files of rules have over %u MiB in all",
			     POLICY_BYTES_MAX >> 20);
	ret = vd_policy_doc_read(&doc, bytes, len, POLICY_RULES_MAX - l->n_rules, &line, &own);
	if (ret == VD_ENOMEM)
		return no_memory(l);
	if (ret)
		return spoil(l, l->file, line, "%s", own.text);
	l->n_rules += doc.n_entries + doc.n_offs;
	for (size_t i = 0; i < doc.n_entries && !ret; i++)
		ret = add_rule(l, &doc.entries[i]);
	if (!ret)
		ret = keep_offs(l, &doc);
	vd_policy_doc_free(&doc);
	return ret;
}

/** An error of io/, which names the place itself. */
static int spoil_by(const struct loader *l, const char *place, const struct vd_error *why)
{
	size_t n = strlen(place);

	if (why->code == VD_ENOMEM)
		return no_memory(l);
	return spoil(l, place, 0, "%s",
		     strncmp(why->text, place, n) == 0 && why->text[n] == ':' ? why->text + n + 2
									      : why->text);
}

static int add_file(struct loader *l)
{
	VD_AUTO_FREE char *bytes = NULL;
	struct vd_error own = VD_ERROR_INIT;
	size_t len;

	if (vd_io_slurp(l->file, POLICY_FILE_MAX, &bytes, &len, &own))
		return spoil_by(l, l->file, &own);
	return add_bytes(l, bytes, len);
}

static bool is_rule_file(const char *name)
{
	size_t len = strlen(name);

	return name[0] != '.' && len > 4 && strcmp(name + len - 4, ".xml") == 0;
}

/** Take the names out of the folder that are files of rules, as paths. */
static int take_names(struct loader *l, const char *dir, char **names, size_t n)
{
	struct vd_policy *policy = l->policy;
	size_t n_files = 0;

	for (size_t i = 0; i < n; i++)
		n_files += is_rule_file(names[i]);
	if (n_files > POLICY_FILES_MAX)
		return spoil(l, dir, 0, "it has %zu files of rules; at most %u are allowed",
			     n_files, POLICY_FILES_MAX);
	policy->files = vd_calloc(n_files + 1, sizeof(*policy->files));
	if (!policy->files)
		return no_memory(l);
	for (size_t i = 0; i < n; i++) {
		size_t size = strlen(dir) + strlen(names[i]) + 2, len = strlen(dir);
		char *path;

		if (!is_rule_file(names[i]))
			continue;
		path = vd_malloc(size);
		if (!path)
			return no_memory(l);
		snprintf(path, size, "%s%s%s", dir, len && dir[len - 1] == '/' ? "" : "/",
			 names[i]);
		policy->files[policy->n_files++] = path;
	}
	return 0;
}

static int add_folder(struct loader *l, const char *dir)
{
	struct vd_error own = VD_ERROR_INIT;
	char **names = NULL;
	size_t n = 0;
	int ret;

	/* Somebody left it out, or a variable was empty: nobody meant "no rules". */
	if (!*dir)
		return spoil(l, "policy", 0, "the name of the folder of rules is empty");
	ret = vd_io_list_folder(dir, POLICY_NAMES_MAX, &names, &n, &own);
	if (ret == VD_ENOENT && own.sys_errno == ENOENT)
		return 0;
	if (ret)
		return spoil_by(l, dir, &own);
	ret = take_names(l, dir, names, n);
	vd_io_free_names(names);
	for (size_t i = 0; i < l->policy->n_files && !ret; i++) {
		l->file = l->policy->files[i];
		ret = add_file(l);
	}
	return ret;
}

/* ---- the whole ---- */

static int by_id(const void *a, const void *b)
{
	const struct policy_rule *x = *(const struct policy_rule *const *)a;
	const struct policy_rule *y = *(const struct policy_rule *const *)b;
	int order = strcmp(x->view.id, y->view.id);

	return order ? order : (x > y) - (x < y);
}

static int find_id(const void *id, const void *rule)
{
	return strcmp(id, (*(const struct policy_rule *const *)rule)->view.id);
}

/** Ids are unique, and what is switched off exists. */
static int check_ids(struct loader *l)
{
	struct vd_policy *policy = l->policy;
	VD_AUTO_FREE struct policy_rule **sorted = vd_calloc(policy->n_rules, sizeof(*sorted));

	if (!sorted)
		return no_memory(l);
	for (size_t i = 0; i < policy->n_rules; i++)
		sorted[i] = &policy->rules[i];
	qsort(sorted, policy->n_rules, sizeof(*sorted), by_id);
	for (size_t i = 1; i < policy->n_rules; i++) {
		const struct vd_rule *first = &sorted[i - 1]->view, *second = &sorted[i]->view;

		if (strcmp(first->id, second->id) == 0)
			return spoil(l, second->file, second->line,
				     "the id \"%s\" is used twice, first at %s:%d", second->id,
				     first->file, first->line);
	}
	for (size_t i = 0; i < l->n_offs; i++) {
		struct policy_rule **rule =
		    bsearch(l->offs[i].rule, sorted, policy->n_rules, sizeof(*sorted), find_id);

		if (!rule)
			return spoil(l, l->off_files[i], l->offs[i].line,
				     "<off rule=\"%s\">: there is no such rule", l->offs[i].rule);
		(*rule)->is_off = true;
	}
	return 0;
}

static void free_rule(struct policy_rule *rule)
{
	vd_query_free(rule->query);
	if (rule->builtin)
		return;
	vd_free((void *)(uintptr_t)rule->view.id);
	vd_free((void *)(uintptr_t)rule->view.actions);
	vd_free((void *)(uintptr_t)rule->view.when);
	vd_free((void *)(uintptr_t)rule->view.reason);
	vd_free((void *)(uintptr_t)rule->remedy);
}

/** Those that are switched off aren't asked; of broken rules none is. */
static void drop_rules(struct vd_policy *policy)
{
	size_t kept = 0;

	for (size_t i = 0; i < policy->n_rules; i++) {
		if (policy->fault || policy->rules[i].is_off)
			free_rule(&policy->rules[i]);
		else
			policy->rules[kept++] = policy->rules[i];
	}
	policy->n_rules = kept;
}

/** The rest, once the site's rules were read with the answer `ret`. */
static int finish(struct loader *l, int ret, struct vd_policy **out)
{
	if (!ret)
		ret = add_builtins(l);
	if (!ret)
		ret = check_ids(l);
	for (size_t i = 0; i < l->n_offs; i++)
		vd_free(l->offs[i].rule);
	vd_free(l->offs);
	vd_free(l->off_files);
	if (ret && ret != VD_ECORRUPT) {
		vd_policy_free(l->policy);
		return ret;
	}
	drop_rules(l->policy);
	*out = l->policy;
	return 0;
}

int vd_policy_load(struct vd_policy **out, const char *dir, struct vd_error *err)
{
	struct loader l = {.policy = vd_calloc(1, sizeof(struct vd_policy)), .err = err};

	if (!l.policy)
		return no_memory(&l);
	return finish(&l, dir ? add_folder(&l, dir) : 0, out);
}

int policy_load_text(struct vd_policy **out, const char *file, const char *bytes, size_t len,
		     struct vd_error *err)
{
	struct loader l = {
	    .policy = vd_calloc(1, sizeof(struct vd_policy)), .file = file, .err = err};

	if (!l.policy)
		return no_memory(&l);
	return finish(&l, add_bytes(&l, bytes, len), out);
}

void vd_policy_free(struct vd_policy *policy)
{
	if (!policy)
		return;
	for (size_t i = 0; i < policy->n_rules; i++)
		free_rule(&policy->rules[i]);
	vd_free(policy->rules);
	for (size_t i = 0; i < policy->n_files; i++)
		vd_free(policy->files[i]);
	vd_free(policy->files);
	vd_free(policy->fault);
	vd_free(policy);
}

const char *vd_policy_fault(const struct vd_policy *policy)
{
	return policy->fault;
}

const struct vd_rule *vd_policy_rule(const struct vd_policy *policy, size_t i)
{
	return i < policy->n_rules ? &policy->rules[i].view : NULL;
}
