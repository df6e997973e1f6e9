/* SPDX-License-Identifier: MIT */
/* The table of jobs. */
#include "job.h"

const struct owner_job_ops *const owner_job_kinds[] = {&job_scrub, &job_compact, NULL};
