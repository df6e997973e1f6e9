/* SPDX-License-Identifier: MIT */
/* What a person should know though no call failed; goes to the hook of vd_set_message_hook. */
#ifndef VD_BASE_MESSAGE_H
#define VD_BASE_MESSAGE_H

#include "base/private.h"
#include <vdisk/error.h>

VD_PRIVATE void vd_message(enum vd_message_level level, const char *fmt, ...) VD_PRINTF(2, 3);

#endif
