/* SPDX-License-Identifier: MIT */
/* The step that a test-only build leaves out; the tests set it. See sabotage.h. */
#include "base/sabotage.h"

#ifdef VD_SABOTAGE
int vd_sabotage;
#else
typedef int vd_no_sabotage; /* a translation unit isn't empty in ISO C */
#endif
