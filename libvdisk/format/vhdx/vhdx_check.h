/* SPDX-License-Identifier: MIT */
/*
 * The inside of vhdx_check: one file per part of the format, each reports what it finds and goes
 * on as far as it makes sense. Return values are failures of the check itself (I/O, memory).
 */
#ifndef VD_VHDX_CHECK_H
#define VD_VHDX_CHECK_H

#include "format/vhdx/vhdx_layout.h"

#define VHDX_RULES_MAX    128u
#define VHDX_FINDINGS_MAX 100u /* of one rule; the rest is only counted */

struct vhdx_rule_count {
	const char *rule, *section;
	enum vd_severity severity;
	uint64_t n;
};

struct vhdx_checker {
	struct vd_io *io;                 /* borrowed: the image as it is */
	struct vd_io *view;               /* own: as it is after the replay of its log */
	uint64_t len;                     /* of the view */
	const struct vhdx_replay *replay; /* borrowed from the view; NULL: the log is empty */
	uint64_t last_off; /* where the newest log entry says that all ends, or UINT64_MAX */
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

/* vhdx_check_locator.c: the item as it is, once it was decoded. */
void vhdx_check_locator(struct vhdx_checker *c, struct vd_span content, uint64_t at);
/* vhdx_check_bitmap.c: a sector bitmap at `off`. Bit i of `partial`: block i of its chunk needs it.
 */
int vhdx_check_bits(struct vhdx_checker *c, const struct vhdx_geometry *g, uint64_t chunk,
		    uint64_t off, const uint8_t *partial, uint8_t **bits, struct vd_error *err);
/* vhdx_check_change.c */
/** What a writer changes first: headers, region tables, log, the length of the file. */
struct vhdx_mark {
	uint64_t len;
	uint32_t crc;
};
int vhdx_mark_take(struct vd_io *io, struct vhdx_mark *mark, struct vd_error *err);

#endif
