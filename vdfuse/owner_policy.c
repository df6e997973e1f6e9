/* SPDX-License-Identifier: MIT */
/*
 * Asking the site's policy: before the image is opened, and before it is edited or compacted while
 * it is open. The rules are read anew each time: they may have changed since.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "log.h"
#include "owner_own.h"

#define DEFAULT_DIR "/etc/vdisk/policy.d"

/* Whose override is being decided. */
struct asking {
	const char *path, *reason;
	bool forgets; /* what is asked for takes the history away, and the override with it */
};

int owner_policy_init(struct owner *owner, const char *dir, struct vd_error *err)
{
	char *here = NULL;
	struct stat st;
	int n;

	/* That is allowed, but whoever names a folder means one that is there. */
	if (dir && *dir && stat(dir, &st) && errno == ENOENT)
		log_note("policy %s: there is no such folder; the built-in rules hold alone", dir);
	dir = dir ? dir : DEFAULT_DIR;
	/* In the background we stand in another folder. */
	if (*dir && *dir != '/') {
		here = getcwd(NULL, 0);
		if (!here)
			return vd_error_set(err, vd_code_from_errno(errno), errno, VD_NO_OFFSET,
					    "the policy %s: where that lies can't be told: %s", dir,
					    strerror(errno));
	}
	n = asprintf(&owner->policy_dir, "%s%s%s", here ? here : "", here ? "/" : "", dir);
	free(here);
	if (n >= 0)
		return 0;
	owner->policy_dir = NULL;
	return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
}

static void decided(void *user, const struct vd_decision *decision, bool is_overridden,
		    bool is_recorded)
{
	const struct asking *asking = user;
	char text[VD_ERROR_TEXT_MAX];

	if (!is_overridden)
		return;
	vd_decision_format(decision, text, sizeof(text));
	log_note("%s: %s; overridden: %s", asking->path, text, asking->reason);
	if (!is_recorded || asking->forgets)
		log_override("override: action %s, rule %s, uid %ld, image %s, reason: %s",
			     vd_purpose_name(decision->action), decision->rule, (long)getuid(),
			     asking->path, asking->reason);
}

int owner_policy_open(struct owner *owner, enum vd_purpose purpose, struct vd_image_opts *opts,
		      struct vd_error *err)
{
	struct asking asking = {.path = owner->path, .reason = opts->override_reason};
	struct vd_policy *policy;
	int rc = vd_policy_load(&policy, owner->policy_dir, err);

	if (rc)
		return rc;
	opts->decided = decided;
	opts->user = &asking;
	rc = vd_image_open(&owner->image, owner->path, purpose, policy, opts, err);
	vd_policy_free(policy);
	return rc;
}

int owner_policy_ask(struct owner *owner, enum vd_purpose action, const json_t *request,
		     bool forgets, struct vd_error *err)
{
	struct asking asking = {
	    .path = owner->path, .reason = control_text(request, "override"), .forgets = forgets};
	struct vd_image_opts opts = VD_IMAGE_OPTS_INIT;
	struct vd_policy *policy;
	int rc = vd_policy_load(&policy, owner->policy_dir, err);

	if (rc)
		return rc;
	opts.override_reason = asking.reason;
	opts.actor = control_text(request, "actor");
	opts.tool = control_text(request, "tool");
	opts.decided = decided;
	opts.user = &asking;
	rc = vd_image_ask(owner->image, action, policy, &opts, err);
	vd_policy_free(policy);
	return rc;
}
