/* SPDX-License-Identifier: MIT */
/* The kinds of jobs; each has a file of its own, and its line in job_kinds.c. */
#ifndef VDFUSE_JOB_H
#define VDFUSE_JOB_H

#include "owner.h"

extern const struct owner_job_ops job_scrub, job_compact;

#endif
