/* SPDX-License-Identifier: MIT */
/*
 * Asking a policy before an image is used: the rules of --policy, this host or that of --host, an
 * --override with its reason. What is asked once per run (rules, host) is kept until it ends.
 *
 * A command that asks lists POLICED in its options (option_rows.h), opens its image by
 * tool_policed_open instead of vd_image_open, and says what failed with tool_fail as ever: after a
 * denial that says also how to learn more, and exits with 4.
 */
#ifndef VDTOOL_POLICED_H
#define VDTOOL_POLICED_H

#include <vdisk/image.h>

#include "options/options.h"

/** The folder of rules without --policy. */
#define TOOL_POLICY_DIR "/etc/vdisk/policy.d"
/** An override's reason has at most so many bytes. */
#define TOOL_REASON_MAX 1000

/**
 * vd_image_open with the policy. Fills opts->host, override_reason, decided and user; with a
 * purpose that asks no policy, nothing of it is looked at. An override that doesn't stand in the
 * image's history goes to syslog (LOG_AUTH). Says nothing itself. Errors: those of vd_image_open;
 * VD_EINVAL: --override without a reason, or what --host names says no host.
 */
int tool_policed_open(struct vd_image **out, const char *path, enum vd_purpose purpose,
		      const struct tool_args *args, struct vd_image_opts *opts,
		      struct vd_error *err);

/** Would the policy allow that as well, with an image that is open? With --override it isn't asked:
 *  the opening for that action will. For telling a denial before work is done in vain. */
int tool_policed_ask(struct vd_image *image, enum vd_purpose action, const struct tool_args *args,
		     struct vd_error *err);
/** May it be used for that, where no opening for it follows? With --override, and the override goes
 * to syslog, whatever the action is. */
int tool_policed_use(struct vd_image *image, const char *path, enum vd_purpose action,
		     const struct tool_args *args, struct vd_error *err);
/** The rules of --policy. Never NULL with 0: rules that are broken deny. */
int tool_policed_rules(const struct vd_policy **out, const struct tool_args *args,
		       struct vd_error *err);
/** The host of --host, or this machine. */
int tool_policed_host(const struct vd_host **out, const struct tool_args *args,
		      struct vd_error *err);
/** If *err is the denial that tool_policed_open met last: what to do now, as a second line on
 *  stderr. tool_fail calls it. */
void tool_policed_hint(const char *path, const struct vd_error *err);

#endif
