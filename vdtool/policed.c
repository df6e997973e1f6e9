/* SPDX-License-Identifier: MIT */
/* See policed.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <vdisk/host.h>

#include "metadata.h"
#include "output.h"
#include "policed.h"

#define HOST_FILE_MAX (1u << 20)

/* Loaded when first asked for; a run of vdtool has one command line, so there is one of each. */
static struct vd_policy *rules;
static const char *rules_dir; /* as --policy names it; NULL: it isn't given */
static struct vd_host *host;

/* The last denial, for the hint. */
static struct {
	bool is_set;
	enum vd_purpose action;
} denial;

/* Whose override is being decided. */
struct asking {
	const char *path, *reason;
	bool forgets; /* the command may take the history away, and the override with it */
};

int tool_policed_rules(const struct vd_policy **out, const struct tool_args *args,
		       struct vd_error *err)
{
	const char *dir = args->is_set[OPT_POLICY] ? args->text[OPT_POLICY] : TOOL_POLICY_DIR;
	struct stat st;
	int ret = 0;

	/* That is allowed, but whoever names a folder means one that is there. */
	if (!rules && args->is_set[OPT_POLICY] && *dir && stat(dir, &st) && errno == ENOENT)
		tool_note("--policy %s: there is no such folder; the built-in rules hold alone",
			  dir);
	if (args->is_set[OPT_POLICY])
		rules_dir = dir;
	if (!rules)
		ret = vd_policy_load(&rules, dir, err);
	*out = ret ? NULL : rules;
	return ret;
}

static int read_host(const char *path, struct vd_error *err)
{
	size_t len;
	char *text;
	int ret;

	if (tool_slurp(path, HOST_FILE_MAX, &text, &len) != TOOL_DONE)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "--host %s can't be read",
				    path);
	ret = vd_host_parse(&host, text, len, err);
	if (ret)
		vd_error_prefix(err, ret, "--host %s", path);
	free(text);
	return ret;
}

int tool_policed_host(const struct vd_host **out, const struct tool_args *args,
		      struct vd_error *err)
{
	int ret = 0;

	if (!host)
		ret = args->is_set[OPT_HOST] ? read_host(args->text[OPT_HOST], err)
					     : vd_host_collect(&host, NULL, err);
	*out = ret ? NULL : host;
	return ret;
}

static void record(const struct asking *asking, const struct vd_decision *decision)
{
	char *path = tool_safe_text(asking->path), *reason = tool_safe_text(asking->reason);
	char *real = realpath(asking->path, NULL), *safe_real = real ? tool_safe_text(real) : NULL;

	openlog("vdtool", LOG_PID, LOG_AUTH);
	syslog(LOG_NOTICE, "override: action %s, rule %s, uid %ld, image %s, reason: %s",
	       vd_purpose_name(decision->action), decision->rule, (long)getuid(),
	       safe_real ? safe_real
	       : path    ? path
			 : "?",
	       reason ? reason : "?");
	closelog();
	free(safe_real);
	free(real);
	free(reason);
	free(path);
}

static void decided(void *user, const struct vd_decision *decision, bool is_overridden,
		    bool is_recorded)
{
	const struct asking *asking = user;
	char text[VD_ERROR_TEXT_MAX];

	denial.is_set = !decision->is_allowed && !is_overridden;
	denial.action = decision->action;
	if (!is_overridden)
		return;
	vd_decision_format(decision, text, sizeof(text));
	tool_note("%s: %s; overridden: %s", asking->path, text, asking->reason);
	if (!is_recorded || asking->forgets)
		record(asking, decision);
}

static const char *wrong_reason(const char *reason)
{
	if (!reason)
		return NULL;
	if (reason[strspn(reason, " \t")] == '\0')
		return "--override wants a reason: --override=\"restored from backup, ticket 42\"";
	return strlen(reason) > TOOL_REASON_MAX ? "the reason of --override is too long" : NULL;
}

int tool_policed_open(struct vd_image **out, const char *path, enum vd_purpose purpose,
		      const struct tool_args *args, struct vd_image_opts *opts,
		      struct vd_error *err)
{
	struct asking asking = {.path = path, .reason = args->text[OPT_OVERRIDE]};
	const char *verb = args->command->name;
	const char *wrong = wrong_reason(asking.reason);
	const struct vd_policy *policy = NULL;
	int ret = 0;

	denial.is_set = false;
	if (!vd_purpose_asks(purpose))
		return vd_image_open(out, path, purpose, NULL, opts, err);
	if (wrong)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "%s", wrong);
	ret = tool_policed_rules(&policy, args, err);
	if (!ret && args->is_set[OPT_HOST])
		ret = tool_policed_host(&opts->host, args, err);
	if (ret)
		return ret;
	asking.forgets = strcmp(verb, "meta strip") == 0 || strcmp(verb, "meta remove") == 0;
	opts->override_reason = asking.reason;
	opts->decided = decided;
	opts->user = &asking;
	ret = vd_image_open(out, path, purpose, policy, opts, err);
	opts->user = NULL;
	return ret;
}

int tool_policed_ask(struct vd_image *image, enum vd_purpose action, const struct tool_args *args,
		     struct vd_error *err)
{
	struct asking asking = {.path = vd_disk_path(vd_image_disk(image))};
	struct vd_image_opts opts = VD_IMAGE_OPTS_INIT;
	const struct vd_policy *policy;
	int ret;

	denial.is_set = false;
	if (args->is_set[OPT_OVERRIDE])
		return 0;
	ret = tool_policed_rules(&policy, args, err);
	opts.decided = decided;
	opts.user = &asking;
	return ret ? ret : vd_image_ask(image, action, policy, &opts, err);
}

int tool_policed_use(struct vd_image *image, const char *path, enum vd_purpose action,
		     const struct tool_args *args, struct vd_error *err)
{
	struct asking asking = {.path = path, .reason = args->text[OPT_OVERRIDE]};
	struct vd_image_opts opts = VD_IMAGE_OPTS_INIT;
	const char *wrong = wrong_reason(asking.reason);
	const struct vd_policy *policy;
	int ret;

	denial.is_set = false;
	if (wrong)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "%s", wrong);
	ret = tool_policed_rules(&policy, args, err);
	if (!ret)
		ret = tool_policed_host(&opts.host, args, err);
	opts.override_reason = asking.reason;
	opts.decided = decided;
	opts.user = &asking;
	return ret ? ret : vd_image_ask(image, action, policy, &opts, err);
}

void tool_policed_hint(const char *path, const struct vd_error *err)
{
	if (!denial.is_set || err->code != VD_EDENIED)
		return;
	denial.is_set = false;
	fputs("`vdtool policy explain --action ", stderr);
	fputs(vd_purpose_name(denial.action), stderr);
	fputs(rules_dir ? " --policy " : " ", stderr);
	tool_print_safe(stderr, rules_dir ? rules_dir : "");
	fputs(rules_dir ? " " : "", stderr);
	tool_print_safe(stderr, path ? path : "IMAGE");
	fputs("` says why; --override=REASON goes on all the same.\n", stderr);
}
