/* SPDX-License-Identifier: MIT */
/* See policy_case.h. Facts are copied: reading a document may read the image anew. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "metadata.h"
#include "output.h"
#include "policed.h"
#include "policy_case.h"

enum vd_purpose policy_action_named(const char *name)
{
	for (int i = VD_PURPOSE_INSPECT; i <= VD_PURPOSE_EDIT; i++)
		if (vd_purpose_asks((enum vd_purpose)i) &&
		    strcmp(vd_purpose_name((enum vd_purpose)i), name) == 0)
			return (enum vd_purpose)i;
	return (enum vd_purpose)0;
}

enum vd_purpose policy_action(const struct tool_args *args)
{
	return args->is_set[OPT_ACTION] ? policy_action_named(args->text[OPT_ACTION])
					: VD_PURPOSE_RUN;
}

/** "+90d", "-12h". */
static bool relative_time(const char *text, int64_t now, int64_t *time)
{
	static const char units[] = "smhdw";
	static const int64_t seconds[] = {1, 60, 3600, 86400, 7 * 86400};
	const char *unit;
	int64_t n = 0;
	const char *p = text + 1;

	if (*text != '+' && *text != '-')
		return false;
	for (; *p >= '0' && *p <= '9' && n < INT32_MAX; p++)
		n = n * 10 + (*p - '0');
	unit = p > text + 1 && *p ? strchr(units, *p) : NULL;
	if (!unit || p[1])
		return false;
	n *= seconds[unit - units];
	*time = *text == '+' ? now + n : now - n;
	return true;
}

bool policy_time(const char *text, int64_t now, int64_t *time)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ",  "%Y-%m-%dT%H:%MZ",
					    "%Y-%m-%dT%H:%M:%S",   "%Y-%m-%dT%H:%M",
					    "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d"};

	if (strcmp(text, "now") == 0) {
		*time = now;
		return true;
	}
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct tm tm = {.tm_isdst = 0};
		const char *end = strptime(text, forms[i], &tm);
		long offset = tm.tm_gmtoff;

		if (!end || *end)
			continue;
		*time = (int64_t)timegm(&tm) - offset;
		return true;
	}
	return relative_time(text, now, time);
}

static int copy_facts(struct vd_fact_set **out, const struct vd_fact *facts, size_t n,
		      struct vd_fact_run *run, struct vd_error *err)
{
	int ret = vd_fact_set_create(out, err);

	for (size_t i = 0; i < n && !ret; i++)
		ret = vd_fact_set_add(*out, facts[i].field, facts[i].value, facts[i].group, err);
	if (!ret)
		run->facts = vd_fact_set_facts(*out, &run->n);
	return ret;
}

/** Facts that can't be told are the policy's business, no failure. */
static int take_metadata(struct policy_case *c, struct vd_error *err)
{
	const struct vd_fact *facts;
	size_t n;
	int ret = vd_meta_get_facts(vd_image_meta(c->image), true, &facts, &n, &c->untold_error);

	if (ret == VD_ECORRUPT || ret == VD_ENOSPC) {
		c->untold = c->untold_error.text;
		return 0;
	}
	if (ret) {
		*err = c->untold_error;
		return ret;
	}
	return copy_facts(&c->sets[0], facts, n, &c->input.metadata, err);
}

static int bring_document(void *user, const char *kind, char **bytes, size_t *len,
			  struct vd_error *err)
{
	struct policy_case *c = user;

	c->asked_documents = true;
	return vd_meta_bring_document(vd_image_meta(c->image), kind, bytes, len, err);
}

int policy_case_look(struct policy_case *c, const char *path, const struct tool_args *args,
		     struct vd_error *err)
{
	const struct vd_host *host = NULL;
	const struct vd_fact *facts;
	size_t n;
	int ret;

	*c = (struct policy_case){.input = {.size = sizeof(c->input),
					    .action = policy_action(args),
					    .time = (int64_t)time(NULL),
					    .document = bring_document,
					    .user = c}};
	if (args->is_set[OPT_AT] && !policy_time(args->text[OPT_AT], c->input.time, &c->input.time))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "--at %s is no time (say 2027-01-31, 2027-01-31T10:00:00Z or "
				    "+90d)",
				    args->text[OPT_AT]);
	ret = tool_policed_host(&host, args, err);
	if (!ret)
		ret = tool_meta_look(&c->image, path, args, err);
	if (ret)
		return ret;
	/* Reading all documents is how their damage is found, which the facts of the image tell. */
	ret = take_metadata(c, err);
	if (!ret)
		ret = vd_fact_set_create(&c->sets[1], err);
	if (!ret)
		ret = vd_image_add_facts(vd_image_disk(c->image), vd_image_meta(c->image),
					 c->sets[1], err);
	if (!ret)
		c->input.image.facts = vd_fact_set_facts(c->sets[1], &c->input.image.n);
	facts = vd_host_facts(host, &n);
	if (!ret)
		ret = copy_facts(&c->sets[2], facts, n, &c->input.host, err);
	if (ret)
		policy_case_free(c);
	return ret;
}

void policy_case_free(struct policy_case *c)
{
	for (size_t i = 0; i < 3; i++)
		vd_fact_set_free(c->sets[i]);
	vd_image_close(c->image, NULL);
	json_decref(c->saved);
	*c = (struct policy_case){.untold = NULL};
}

/** A rule speaks of the action. */
static bool is_spoken_of(const struct vd_policy *policy, enum vd_purpose action)
{
	const char *name = vd_purpose_name(action);
	const struct vd_rule *rule;

	for (size_t i = 0; (rule = vd_policy_rule(policy, i)); i++) {
		const char *word = rule->actions;

		for (size_t n; *word; word += n + strspn(word + n, " ")) {
			n = strcspn(word, " ");
			if (strcmp(word, "*") == 0 ||
			    (n == strlen(name) && strncmp(word, name, n) == 0))
				return true;
		}
	}
	return false;
}

int policy_case_decide(const struct vd_policy *policy, struct policy_case *c,
		       struct vd_decision **out, struct vd_error *err)
{
	static struct vd_decision untold;

	/* As vd_image_open does: what isn't known is allowed only if no rule asks for it. */
	if (!c->untold || vd_policy_fault(policy) || !is_spoken_of(policy, c->input.action))
		return vd_policy_decide(policy, &c->input, out, err);
	untold = (struct vd_decision){.size = sizeof(untold),
				      .action = c->input.action,
				      .time = c->input.time,
				      .effect = VD_EFFECT_DENY,
				      .rule = "policy",
				      .file = "",
				      .reason = c->untold,
				      .facts = "",
				      .remedy = "",
				      .nearest = ""};
	*out = &untold;
	return 0;
}

void policy_decision_free(struct policy_case *c, struct vd_decision *decision)
{
	if (decision && decision->reason != c->untold)
		vd_decision_free(decision);
}
