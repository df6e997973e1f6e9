/* SPDX-License-Identifier: MIT */
/*
 * Check every rule of MS-VHDX on an image, without changing a byte. Errors are broken rules,
 * warnings what readers cope with but others may not, notes what is worth knowing.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "format/vhdx/vhdx_check.h"

/* Count a finding; false: there were so many of its kind that nobody reads on. */
static bool count_finding(struct vhdx_checker *c, enum vd_severity severity, const char *rule,
			  const char *section)
{
	uint32_t i = 0;

	c->n_errors += severity == VD_FINDING_ERROR;
	while (i < c->n_rules &&
	       (c->rules[i].severity != severity || strcmp(c->rules[i].rule, rule) != 0))
		i++;
	if (i == VHDX_RULES_MAX)
		return true;
	if (i == c->n_rules)
		c->rules[c->n_rules++] = (struct vhdx_rule_count){rule, section, severity, 0};
	return ++c->rules[i].n <= VHDX_FINDINGS_MAX;
}

void vhdx_report(struct vhdx_checker *c, enum vd_severity severity, const char *rule,
		 const char *section, uint64_t offset, const char *expected, const char *fmt, ...)
{
	struct vd_finding finding = {severity, rule, section, offset, NULL, expected};
	/* Texts of an image go the way of error texts, which makes them printable. */
	struct vd_error text;
	va_list ap;

	if (!count_finding(c, severity, rule, section) || !c->fn)
		return;
	va_start(ap, fmt);
	vd_error_vset(&text, 0, 0, 0, fmt, ap);
	va_end(ap);
	finding.found = text.text;
	c->fn(c->user, &finding);
}

static void report_rest(struct vhdx_checker *c)
{
	for (uint32_t i = 0; c->fn && i < c->n_rules; i++) {
		const struct vhdx_rule_count *rule = &c->rules[i];
		struct vd_finding finding = {rule->severity, rule->rule, rule->section,
					     VD_NO_OFFSET,   "",         "none of these"};
		char found[64];

		if (rule->n <= VHDX_FINDINGS_MAX)
			continue;
		snprintf(found, sizeof(found), "%" PRIu64 " more of these",
			 rule->n - VHDX_FINDINGS_MAX);
		finding.found = found;
		c->fn(c->user, &finding);
	}
}

static int run_parts(struct vhdx_checker *c, struct vd_error *err)
{
	int rc = vhdx_check_headers(c, err);

	if (!rc && c->has_header)
		rc = vhdx_check_log(c, err);
	if (!rc)
		rc = vd_io_length(c->view, &c->len, err);
	if (!rc && c->len % VD_MIB)
		vhdx_report(c, VD_FINDING_NOTE, "vhdx-file-size", "MS-VHDX 2.1", c->len,
			    "a multiple of 1 MiB", "file of %" PRIu64 " bytes", c->len);
	if (!rc)
		rc = vhdx_check_regions(c, err);
	if (!rc && c->has_regions)
		rc = vhdx_check_metadata(c, err);
	if (!rc && c->has_params)
		rc = vhdx_check_bat(c, err);
	return rc;
}

/* What looks wrong while somebody writes may be half of a change: better said as that than as
 * corrupt. `has_changed`: we saw it change ourselves. */
static int check_quiet(struct vhdx_checker *c, bool has_changed, struct vd_error *err)
{
	char holder[128];

	if (!has_changed && !c->n_errors)
		return 0;
	vd_io_holder(c->io, holder, sizeof(holder));
	if (has_changed)
		return vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				    "changed while it was checked: %s%s writes to it",
				    holder[0] ? "" : "another program", holder);
	if (holder[0])
		return vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				    "in use by %s, without a lock: what looks wrong in it may be "
				    "half of a change; check it when that has closed it",
				    holder);
	return 0;
}

static int run_checks(struct vhdx_checker *c, struct vd_error *err)
{
	struct vd_error why = VD_ERROR_INIT;
	struct vhdx_mark before, after;
	int rc = vhdx_mark_take(c->io, &before, err), rc_parts;

	if (rc)
		return rc;
	rc_parts = run_parts(c, &why);
	if (rc_parts != VD_ENOMEM && rc_parts != VD_ECANCELED) {
		rc = vhdx_mark_take(c->io, &after, err);
		if (!rc)
			rc =
			    check_quiet(c, before.len != after.len || before.crc != after.crc, err);
	}
	if (!rc && rc_parts)
		rc = vd_error_set(err, rc_parts, why.sys_errno, why.offset, "%s", why.text);
	return rc;
}

int vhdx_check(struct vd_io *io, vd_finding_fn fn, void *user, uint64_t *n_errors,
	       struct vd_error *err)
{
	struct vhdx_checker *c = vd_calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return vd_no_memory(err, sizeof(*c), "the check");
	c->io = io;
	c->view = vd_io_ref(io);
	c->last_off = UINT64_MAX;
	c->fn = fn;
	c->user = user;
	rc = run_checks(c, err);
	if (!rc)
		report_rest(c);
	if (n_errors)
		*n_errors = c->n_errors;
	vhdx_regions_free(&c->regions);
	vhdx_params_free(&c->params);
	vd_io_close(c->view);
	vd_free(c);
	return rc;
}
