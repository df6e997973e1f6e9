/* SPDX-License-Identifier: MIT */
/*
 * Asking a policy about an image, and entering what overrides it.
 *
 * It fails closed: whatever keeps the facts from being told denies, and a failure of the asking
 * itself fails the opening. What is decided on is a copy: reading a document for a rule may read
 * an image anew that somebody else writes.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/message.h"
#include "image/image_own.h"

/* ---- facts that stay ---- */

struct kept_facts {
	struct vd_fact *facts;
	char *texts;
	size_t n;
};

static void kept_facts_free(struct kept_facts *kept)
{
	vd_free(kept->facts);
	vd_free(kept->texts);
}

static const char *keep(char **at, const char *text)
{
	size_t len = strlen(text) + 1;
	char *kept = memcpy(*at, text, len);

	*at += len;
	return kept;
}

static int keep_facts(struct kept_facts *kept, const struct vd_fact *facts, size_t n,
		      struct vd_error *err)
{
	size_t len = 1;
	char *at;

	for (size_t i = 0; i < n; i++)
		len += strlen(facts[i].field) + strlen(facts[i].value) + strlen(facts[i].key) + 3;
	kept->facts = vd_calloc(n + 1, sizeof(*kept->facts));
	kept->texts = at = vd_malloc(len);
	if (!kept->facts || !kept->texts)
		return vd_no_memory(err, len, "facts of an image");
	for (size_t i = 0; i < n; i++) {
		kept->facts[i] = facts[i];
		kept->facts[i].field = keep(&at, facts[i].field);
		kept->facts[i].value = keep(&at, facts[i].value);
		kept->facts[i].key = keep(&at, facts[i].key);
	}
	kept->n = n;
	return 0;
}

/* ---- asking ---- */

/** "run mount-rw" has the word "run". */
static bool has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	while (*words) {
		size_t n = strcspn(words, " ");

		if ((n == len && memcmp(words, word, len) == 0) || (n == 1 && *words == '*'))
			return true;
		words += n + strspn(words + n, " ");
	}
	return false;
}

bool image_question_is_idle(const struct image_question *question)
{
	const char *action = vd_purpose_name(question->action);
	const struct vd_rule *rule;

	if (vd_policy_fault(question->policy))
		return false;
	for (size_t i = 0; (rule = vd_policy_rule(question->policy, i)); i++)
		if (has_word(rule->actions, action))
			return false;
	return true;
}

/** The facts of the image. VD_ECORRUPT, VD_ENOSPC: its metadata can't be told in facts. */
static int gather(struct vd_policy_input *input, struct vd_disk *disk, struct vd_meta *meta,
		  struct vd_fact_set *set, struct kept_facts *kept, struct vd_error *err)
{
	const struct vd_fact *facts;
	size_t n;
	/* Reading all documents is also how their damage is found, which the image's facts tell. */
	int ret = vd_meta_get_facts(meta, true, &facts, &n, err);

	if (!ret)
		ret = keep_facts(kept, facts, n, err);
	if (ret)
		return ret;
	input->metadata = (struct vd_fact_run){kept->facts, kept->n};
	ret = vd_image_add_facts(disk, meta, set, err);
	input->image.facts = vd_fact_set_facts(set, &input->image.n);
	return ret == VD_ECORRUPT || ret == VD_ENOSPC ? VD_EIO : ret;
}

static bool has_facts_of(struct vd_fact_run run, const char *prefix)
{
	for (size_t i = 0; i < run.n; i++)
		if (strncmp(run.facts[i].field, prefix, strlen(prefix)) == 0)
			return true;
	return false;
}

static bool rule_needs_host(const struct vd_rule *rule, struct vd_fact_run metadata)
{
	static const char *const no[] = {"builtin:metadata", "builtin:validity", "builtin:patches"};

	if (rule->file)
		return strcasestr(rule->when, "host");
	if (strcmp(rule->id, "builtin:hardware") == 0)
		return has_facts_of(metadata, "hardware.");
	if (strcmp(rule->id, "builtin:host") == 0)
		return has_facts_of(metadata, "compatible.");
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (strcmp(rule->id, no[i]) == 0)
			return false;
	return true;
}

/** Could the answer hang on the host? Looking at one takes longer than all else, and most images
 * say nothing of hosts. */
static bool needs_host(const struct image_question *question, const struct vd_policy_input *input)
{
	const char *action = vd_purpose_name(question->action);
	const struct vd_rule *rule;

	for (size_t i = 0; (rule = vd_policy_rule(question->policy, i)); i++)
		if (has_word(rule->actions, action) && rule_needs_host(rule, input->metadata))
			return true;
	return false;
}

static int look_at_host(struct image_question *question, struct vd_policy_input *input,
			struct vd_error *err)
{
	const struct vd_host *host = question->opts->host;
	int ret = 0;

	if (!host && !question->host)
		ret = vd_host_collect(&question->host, NULL, err);
	if (!ret)
		input->host.facts = vd_host_facts(host ? host : question->host, &input->host.n);
	return ret;
}

static int decide(struct image_question *question, struct vd_policy_input *input,
		  struct vd_disk *disk, struct vd_meta *meta, struct vd_decision **out,
		  struct vd_error *err)
{
	struct kept_facts kept = {NULL, NULL, 0};
	struct vd_fact_set *set = NULL;
	int ret = 0;

	if (!image_question_is_idle(question) && !vd_policy_fault(question->policy)) {
		ret = vd_fact_set_create(&set, err);
		if (!ret)
			ret = gather(input, disk, meta, set, &kept, err);
		if (!ret && needs_host(question, input))
			ret = look_at_host(question, input, err);
	}
	if (!ret)
		ret = vd_policy_decide(question->policy, input, out, err);
	kept_facts_free(&kept);
	vd_fact_set_free(set);
	return ret;
}

/* ---- overriding ---- */

/** A line of its own, durable. *is_recorded stays false where the image keeps no history, or can't
 *  keep this. */
static int enter_override(struct vd_image *image, const struct image_question *question,
			  const struct vd_decision *decision, bool *is_recorded,
			  struct vd_error *err)
{
	const char *action = vd_purpose_name(question->action), *rule = decision->rule;
	const struct vd_image_opts *opts = question->opts;
	struct vd_operation op = image_operation(image);
	struct vd_meta_info info = {.size = sizeof(info)};
	struct vd_error own = VD_ERROR_INIT;
	char parameters[2048]; /* cut by vd_meta_log */
	int ret;

	vd_meta_get_info(image->meta, &info);
	if (!vd_purpose_writes(image->purpose) || question->action == VD_PURPOSE_RUN ||
	    !vd_purpose_writes(question->action) || !info.has_ours)
		return 0;
	snprintf(parameters, sizeof(parameters), "%s, rule %s: %s", action, *rule ? rule : "-",
		 opts->override_reason);
	if (opts->actor) {
		op.actor = opts->actor;
		op.host = *opts->actor ? NULL : "";
	}
	if (opts->tool)
		op.tool = opts->tool;
	op.operation = "override";
	op.parameters = parameters;
	op.outcome = "ok";
	ret = vd_meta_log(image->meta, &op, &own);
	if (!ret)
		ret = vd_meta_commit(image->meta, &own);
	*is_recorded = !ret;
	/* An override that didn't take place mustn't come with a later commit. */
	if (ret && !info.has_changes)
		vd_meta_revert(image->meta, NULL);
	if (!ret)
		return 0;
	if (image_cant_remember(ret, info.has_changes)) {
		vd_message(VD_MESSAGE_WARNING, "%s: the override isn't in its history: %s",
			   vd_disk_path(image->disk), own.text);
		return 0;
	}
	return vd_error_set(err, ret, own.sys_errno, own.offset,
			    "the override can't be entered in the history: %s", own.text);
}

static int deny(const struct image_question *question, const struct vd_decision *decision,
		struct vd_error *err)
{
	const char *hint = "";
	char text[VD_ERROR_TEXT_MAX];

	if (question->opts->decided)
		question->opts->decided(question->opts->user, decision, false, false);
	vd_decision_format(decision, text, sizeof(text));
	if (decision->effect == VD_EFFECT_READ_ONLY && question->action == VD_PURPOSE_MOUNT_RW)
		hint = "; a read-only mount is allowed";
	return vd_error_set(err, VD_EDENIED, 0, VD_NO_OFFSET, "%.*s%s",
			    (int)(sizeof(err->text) - strlen(hint) - 1), text, hint);
}

/** What comes of a decision. */
static int follow(struct image_question *question, const struct vd_decision *decision,
		  struct vd_image *image, struct vd_error *err)
{
	const struct vd_image_opts *opts = question->opts;
	bool is_overridden = !decision->is_allowed && opts->override_reason;
	bool is_recorded = false;
	int ret = 0;

	if (!decision->is_allowed && !is_overridden)
		return deny(question, decision, err);
	if (!image)
		return 0;
	if (is_overridden)
		ret = enter_override(image, question, decision, &is_recorded, err);
	if (!ret && opts->decided)
		opts->decided(opts->user, decision, is_overridden, is_recorded);
	return ret;
}

int image_question_ask(struct image_question *question, struct vd_disk *disk, struct vd_meta *meta,
		       struct vd_image *image, struct vd_error *err)
{
	struct vd_policy_input input = {.size = sizeof(input),
					.action = question->action,
					.time = (int64_t)time(NULL),
					.document = vd_meta_bring_document,
					.user = meta};
	struct vd_error own = VD_ERROR_INIT;
	struct vd_decision *decision = NULL;
	struct vd_decision untold = {.size = sizeof(untold),
				     .action = input.action,
				     .time = input.time,
				     .effect = VD_EFFECT_DENY,
				     .rule = "policy",
				     .file = "",
				     .facts = "",
				     .remedy = "",
				     .nearest = "",
				     .reason = own.text};
	int ret = decide(question, &input, disk, meta, &decision, &own);

	if (ret == VD_ECORRUPT || ret == VD_ENOSPC)
		return follow(question, &untold, image, err);
	if (ret)
		return vd_error_set(err, ret, own.sys_errno, own.offset,
				    "the policy can't be asked: %s", own.text);
	ret = follow(question, decision, image, err);
	vd_decision_free(decision);
	return ret;
}

void image_question_end(struct image_question *question)
{
	vd_host_free(question->host);
	question->host = NULL;
}

int vd_image_ask(struct vd_image *image, enum vd_purpose action, const struct vd_policy *policy,
		 const struct vd_image_opts *opts, struct vd_error *err)
{
	struct vd_image_opts own;
	struct image_question question = {.policy = policy, .action = action, .opts = &own};
	int ret = image_take_opts(&own, opts, action, err);

	if (ret || !policy || !vd_purpose_asks(action))
		return ret;
	vd_image_lock_meta(image);
	ret = image_question_ask(&question, image->disk, image->meta, image, err);
	vd_image_unlock_meta(image);
	image_question_end(&question);
	return ret;
}
