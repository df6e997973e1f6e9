/* SPDX-License-Identifier: MIT */
/* What images are opened for: names, and who writes and who asks. Names of effects. */
#include <stddef.h>

#include <vdisk/policy.h>

static const struct {
	const char *name;
	bool writes, asks;
} purposes[] = {
    [VD_PURPOSE_INSPECT] = {"inspect", false, false},
    [VD_PURPOSE_SEARCH] = {"search", false, false},
    [VD_PURPOSE_MAP] = {"map", false, false},
    [VD_PURPOSE_CHECK] = {"check", false, false},
    [VD_PURPOSE_MOUNT_RO] = {"mount-ro", false, true},
    [VD_PURPOSE_MOUNT_RW] = {"mount-rw", true, true},
    [VD_PURPOSE_RUN] = {"run", true, true},
    [VD_PURPOSE_CONVERT] = {"convert", false, true},
    [VD_PURPOSE_EXPORT] = {"export", false, true},
    [VD_PURPOSE_COMPACT] = {"compact", true, true},
    [VD_PURPOSE_EDIT] = {"edit", true, true},
};

static bool is_known(enum vd_purpose purpose)
{
	return purpose >= VD_PURPOSE_INSPECT && purpose <= VD_PURPOSE_EDIT;
}

const char *vd_purpose_name(enum vd_purpose purpose)
{
	return is_known(purpose) ? purposes[purpose].name : "unknown";
}

bool vd_purpose_writes(enum vd_purpose purpose)
{
	return is_known(purpose) && purposes[purpose].writes;
}

bool vd_purpose_asks(enum vd_purpose purpose)
{
	return is_known(purpose) && purposes[purpose].asks;
}

const char *vd_effect_name(enum vd_effect effect)
{
	switch (effect) {
	case VD_EFFECT_ALLOW:
		return "allow";
	case VD_EFFECT_DENY:
		return "deny";
	case VD_EFFECT_READ_ONLY:
		return "read-only";
	}
	return "unknown";
}
