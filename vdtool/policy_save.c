/* SPDX-License-Identifier: MIT */
/*
 * A case with its decision as a file, for `policy test`. It holds all that the decision depends on
 * but the rules; their files' digests tell whether those are still the same.
 *
 * Such a file may come from anywhere: its size is bounded, each value's type is looked at, facts go
 * through the library's own door, which bounds and sorts them, and rules see nothing but those.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "image.h"
#include "metadata.h"
#include "output.h"
#include "policy_case.h"
#include "tempfile.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define FORMAT        "vdisk-policy-case"
#define VERSION       1
#define FILE_MAX      (64u << 20)
#define RULE_FILE_MAX (1u << 20)

static const char *const runs[] = {"facts", "image", "host"};

/* ---- writing ---- */

static json_t *run_to_json(struct vd_fact_run run)
{
	json_t *list = json_array();

	for (size_t i = 0; i < run.n; i++) {
		json_t *fact = json_array(), *holder = json_object();

		tool_json_set_text(holder, "field", run.facts[i].field);
		tool_json_set_text(holder, "value", run.facts[i].value);
		json_array_append(fact, json_object_get(holder, "field"));
		json_array_append(fact, json_object_get(holder, "value"));
		json_array_append_new(fact, json_integer((json_int_t)run.facts[i].group));
		json_array_append_new(list, fact);
		json_decref(holder);
	}
	return list;
}

/** BLAKE2b-256 of a file of rules, or NULL. */
static char *digest_of(const char *file, char text[65])
{
	unsigned char digest[32];
	char *bytes;
	size_t len;

	if (tool_slurp(file, RULE_FILE_MAX, &bytes, &len) != TOOL_DONE)
		return NULL;
	crypto_generichash(digest, sizeof(digest), (const unsigned char *)bytes, len, NULL, 0);
	free(bytes);
	tool_hex(digest, sizeof(digest), text);
	return text;
}

/** {file: digest} of those that the rules stand in. */
static json_t *rules_to_json(const struct vd_policy *policy)
{
	json_t *files = json_object();
	const struct vd_rule *rule;
	char digest[65];

	for (size_t i = 0; (rule = vd_policy_rule(policy, i)); i++) {
		json_t *holder;

		if (!rule->file)
			continue;
		holder = tool_json_object(NULL);
		tool_json_set_path(holder, "file", rule->file);
		if (!json_object_get(files, json_string_value(json_object_get(holder, "file"))))
			tool_json_set_text(files,
					   json_string_value(json_object_get(holder, "file")),
					   digest_of(rule->file, digest));
		json_decref(holder);
	}
	return files;
}

/** Those of our categories, since an XPath sees no others; null where one is damaged. Null in all
 *  if no rule asked them: one that comes later can't be evaluated then. */
static json_t *documents_to_json(struct policy_case *c)
{
	const struct vd_category *category;
	json_t *documents;

	if (!c->asked_documents)
		return json_null();
	documents = json_object();
	for (size_t i = 0; (category = vd_category_at(i)); i++) {
		char *bytes = NULL;
		size_t len;
		int ret = c->input.document(c->input.user, category->name, &bytes, &len, NULL);

		if (ret != VD_ENOENT)
			tool_json_set_text(documents, category->name, ret ? NULL : bytes);
		if (!ret)
			vd_meta_free(bytes);
	}
	return documents;
}

static json_t *to_json(const char *path, struct policy_case *c, const struct vd_policy *policy,
		       const struct vd_decision *decision)
{
	const struct vd_fact_run all[] = {c->input.metadata, c->input.image, c->input.host};
	json_t *object = tool_json_object(NULL), *outcome = tool_json_object(NULL);
	char when[TOOL_TIME_TEXT];

	tool_json_set_text(object, "format", FORMAT);
	tool_json_set_number(object, "version", VERSION);
	tool_json_set_path(object, "path", path);
	tool_json_set_text(object, "action", vd_purpose_name(c->input.action));
	tool_json_set_text(object, "time", tool_time_format(c->input.time, when));
	json_object_set_new(object, "seconds", json_integer((json_int_t)c->input.time));
	json_object_set_new(object, "rules", rules_to_json(policy));
	for (size_t i = 0; i < 3; i++)
		json_object_set_new(object, runs[i], run_to_json(all[i]));
	json_object_set_new(object, "documents", documents_to_json(c));
	policy_decision_to_json(outcome, decision, false);
	json_object_set_new(object, "decision", outcome);
	return object;
}

static int write_all(const char *text)
{
	int fd = open(tool_temp_path(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	int failed = fd < 0 ? errno : tool_write_fd(fd, text, strlen(text));

	if (!failed)
		failed = tool_write_fd(fd, "\n", 1);
	if (!failed && fsync(fd) && errno != EINVAL)
		failed = errno;
	if (fd >= 0)
		close(fd);
	return failed;
}

int policy_case_save(const char *file, const char *path, struct policy_case *c,
		     const struct vd_policy *policy, const struct vd_decision *decision)
{
	json_t *object;
	int exit_code, failed;
	char *text;

	if (c->untold)
		return tool_say(TOOL_FAILED, file, "not saved: the image gives no facts");
	if (vd_policy_fault(policy))
		return tool_say(TOOL_FAILED, file, "not saved: the rules can't be used");
	exit_code = sodium_init() < 0 ? tool_say(TOOL_FAILED, NULL, "libsodium can't be used")
				      : tool_temp_begin(file, false);
	if (exit_code)
		return exit_code;
	object = to_json(path, c, policy, decision);
	text = json_dumps(object, JSON_PRESERVE_ORDER | JSON_INDENT(1));
	json_decref(object);
	failed = text ? write_all(text) : ENOMEM;
	free(text);
	if (!failed)
		return tool_temp_commit();
	tool_temp_abandon();
	return tool_say(TOOL_FAILED, file, "%s", strerror(failed));
}

/* ---- reading ---- */

static int wrong(const char *file, const char *what)
{
	return tool_say(TOOL_FAILED, file, "is no saved case of a policy: %s", what);
}

static int read_run(const char *file, json_t *list, struct vd_fact_set **set,
		    struct vd_fact_run *run)
{
	struct vd_error err = VD_ERROR_INIT;
	int ret = vd_fact_set_create(set, &err);
	json_t *fact;
	size_t i;

	if (!json_is_array(list))
		return wrong(file, "facts, image and host have to be lists");
	json_array_foreach(list, i, fact)
	{
		const char *field = json_string_value(json_array_get(fact, 0));
		const char *value = json_string_value(json_array_get(fact, 1));
		json_t *group = json_array_get(fact, 2);

		if (!field || !value || !json_is_integer(group) || json_integer_value(group) < 0 ||
		    json_integer_value(group) > UINT32_MAX)
			return wrong(file, "a fact has to be [field, value, group]");
		if (!ret)
			ret = vd_fact_set_add(*set, field, value,
					      (uint32_t)json_integer_value(group), &err);
	}
	if (ret)
		return tool_fail(file, &err);
	run->facts = vd_fact_set_facts(*set, &run->n);
	return TOOL_DONE;
}

/** A vd_document_fn over the saved documents. vdtool sets no hooks for memory, so what malloc gave
 *  is what vd_meta_free takes. */
static int saved_document(void *user, const char *kind, char **bytes, size_t *len,
			  struct vd_error *err)
{
	const json_t *text = json_object_get(user, kind);

	if (!text)
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "there is no such document");
	if (!json_is_string(text))
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET, "it was damaged");
	*len = json_string_length(text);
	*bytes = malloc(*len + 1);
	if (!*bytes)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	memcpy(*bytes, json_string_value(text), *len + 1);
	return 0;
}

static int take(struct policy_case *c, const char *file)
{
	json_t *root = c->saved, *documents = json_object_get(root, "documents");
	const char *format = json_string_value(json_object_get(root, "format"));
	const char *action = json_string_value(json_object_get(root, "action"));
	json_t *seconds = json_object_get(root, "seconds");
	struct vd_fact_run *to[] = {&c->input.metadata, &c->input.image, &c->input.host};
	int exit_code = TOOL_DONE;

	if (!format || strcmp(format, FORMAT) != 0)
		return wrong(file, "its format isn't " FORMAT);
	if (json_integer_value(json_object_get(root, "version")) != VERSION)
		return wrong(file, "it is of another version");
	if (!action || !(c->input.action = policy_action_named(action)))
		return wrong(file, "its action is none that a policy is asked about");
	if (!json_is_integer(seconds))
		return wrong(file, "it has no time");
	c->input.time = json_integer_value(seconds);
	if (!json_is_boolean(json_object_get(json_object_get(root, "decision"), "allowed")))
		return wrong(file, "it has no decision");
	if (!json_is_object(documents) && !json_is_null(documents))
		return wrong(file, "it has no documents");
	if (json_is_object(documents)) {
		c->input.document = saved_document;
		c->input.user = documents;
	}
	for (size_t i = 0; i < 3 && !exit_code; i++)
		exit_code = read_run(file, json_object_get(root, runs[i]), &c->sets[i], to[i]);
	return exit_code;
}

int policy_case_load(struct policy_case *c, const char *file)
{
	json_error_t error;
	char *bytes;
	size_t len;
	int exit_code;

	*c = (struct policy_case){.input = {.size = sizeof(c->input)}};
	exit_code = tool_slurp(file, FILE_MAX, &bytes, &len);
	if (exit_code)
		return exit_code;
	c->saved = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &error);
	free(bytes);
	if (!c->saved)
		return tool_say(TOOL_FAILED, file, "line %d: %s", error.line, error.text);
	exit_code = take(c, file);
	if (exit_code)
		policy_case_free(c);
	return exit_code;
}
