/* SPDX-License-Identifier: MIT */
/* What a compaction asks for and what came of it, as JSON: `vdtool compact --json` prints the
 * result, the job "compact" of the control channel takes the one and answers with the other. */
#ifndef CONTROL_COMPACT_REPORT_H
#define CONTROL_COMPACT_REPORT_H

#include <jansson.h>

#include <vdisk/compact.h>

/** The level of that name; 0: there is none. */
enum vd_compact_level compact_level_find(const char *name);
/** A new object: level, zero_scan, dry_run, max_rate, max_time, max_latency_us. */
json_t *compact_params_new(const struct vd_compact_opts *opts);
/** The same back; what isn't there stays as it is in *opts. VD_EINVAL names what is wrong. */
int compact_params_read(const json_t *params, struct vd_compact_opts *opts, struct vd_error *err);

/** Set the members of the result, sizes in bytes. */
void compact_report_put(json_t *object, const struct vd_compact_result *result);
/** The same back, from somebody else: what is missing or no number is 0, null is UINT64_MAX. */
void compact_report_get(const json_t *object, struct vd_compact_result *result);

/** What guests felt of it: 99 of 100 requests took at most so long. Microseconds, 0: there was no
 *  request. */
struct compact_guest {
	uint64_t p99_before_us; /* in the ten seconds before it began */
	uint64_t p99_us;        /* while it ran */
};
void compact_guest_put(json_t *object, const struct compact_guest *guest);
void compact_guest_get(const json_t *object, struct compact_guest *guest);

#endif
