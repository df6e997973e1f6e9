/* SPDX-License-Identifier: MIT */
/*
 * The inside of vhdx_check: one file per part of the format, each reports what it finds and goes
 * on as far as it makes sense. Return values are failures of the check itself (I/O, memory).
 */
#ifndef VD_VHDX_CHECK_H
#define VD_VHDX_CHECK_H

#include "format/vhdx/vhdx_layout.h"

#define VHDX_RULES_MAX    96u
#define VHDX_FINDINGS_MAX 100u /* of one rule; the rest is only counted */

struct vhdx_rule_count {
	const char *rule, *section;
	enum vd_severity severity;
	uint64_t n;
};

struct vhdx_checker {
	struct vd_io *io;   /* borrowed: the image as it is */
	struct vd_io *view; /* own: as it is after the replay of its log */
	uint64_t len;       /* of the view */
	vd_finding_fn fn;
	void *user;
	uint64_t n_errors;
	struct vhdx_rule_count rules[VHDX_RULES_MAX];
	uint32_t n_rules;
	/* What the parts found out for those behind them. */
	bool has_header, has_regions, has_params;
	struct vhdx_header header;
	struct vhdx_regions regions;
	struct vhdx_params params;
};

/** One finding. `fmt` says what was found. */
void vhdx_report(struct vhdx_checker *c, enum vd_severity severity, const char *rule,
		 const char *section, uint64_t offset, const char *expected, const char *fmt, ...)
    VD_PRINTF(7, 8);

/* In the order in which they run. */
int vhdx_check_headers(struct vhdx_checker *c, struct vd_error *err);  /* vhdx_check_header.c */
int vhdx_check_log(struct vhdx_checker *c, struct vd_error *err);      /* vhdx_check_log.c */
int vhdx_check_regions(struct vhdx_checker *c, struct vd_error *err);  /* vhdx_check_region.c */
int vhdx_check_metadata(struct vhdx_checker *c, struct vd_error *err); /* vhdx_check_item.c */
int vhdx_check_bat(struct vhdx_checker *c, struct vd_error *err);      /* vhdx_check_bat.c */

#endif
