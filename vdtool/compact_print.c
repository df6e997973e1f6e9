/* SPDX-License-Identifier: MIT */
/* What came of a compaction, for people and for programs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "compact_report.h"
#include "compacting.h"
#include "output.h"

#define MS ((uint64_t)1000000)

/* "9.8 -> 3.4 GiB": the unit once if both have it. */
static void print_change(uint64_t before, uint64_t after)
{
	char was[TOOL_SIZE_TEXT], is[TOOL_SIZE_TEXT], *was_unit, *is_unit;

	tool_size_format(before, was);
	tool_size_format(after, is);
	was_unit = strchr(was, ' ');
	is_unit = strchr(is, ' ');
	if (was_unit && is_unit && strcmp(was_unit, is_unit) == 0)
		*was_unit = '\0';
	printf("%s -> %s", was, is);
}

/* A line for each reason for which space was, or would be, given back. */
static void print_bytes(const char *what, uint64_t bytes)
{
	char text[TOOL_SIZE_TEXT];

	if (bytes)
		printf("  %10s  %s\n", tool_size_format(bytes, text), what);
}

static void print_moves(const char *verb, uint64_t n, uint64_t bytes, uint64_t n_planned)
{
	char text[TOOL_SIZE_TEXT];

	if (!n && !n_planned)
		return;
	printf("  %s %" PRIu64 " block%s (%s%s)", verb, n, n == 1 ? "" : "s",
	       tool_size_format(bytes, text), n == n_planned ? ", as few as do it" : "");
}

static void print_dry(const struct vd_compact_result *r)
{
	if (r->file_after < r->file_before) {
		fputs("  file would become ", stdout);
		print_change(r->file_before, r->file_after);
	} else {
		fputs("  file would keep its length", stdout);
	}
	print_moves("to move:", r->n_moves_planned, r->bytes_copied, r->n_moves_planned);
	putchar('\n');
}

static void print_done(const struct vd_compact_result *r, const struct compact_guest *guest,
		       double seconds)
{
	fputs("  ", stdout);
	/* What the host holds for it, not only how long the file is. */
	if (r->allocated_before != UINT64_MAX && r->allocated_after != UINT64_MAX)
		print_change(r->allocated_before, r->allocated_after);
	else
		print_change(r->file_before, r->file_after);
	print_moves("moved", r->n_moves, r->bytes_copied + r->bytes_shared, r->n_moves_planned);
	if (r->longest_hold_ns >= MS)
		printf("  a write waited %" PRIu64 " ms at most", r->longest_hold_ns / MS);
	/* So much longer than before. */
	if (guest && guest->p99_before_us && guest->p99_us)
		printf("  guest p99 %.1fx", (double)guest->p99_us / (double)guest->p99_before_us);
	printf("  %.1f s\n", seconds);
	if (r->file_after != r->file_before) {
		fputs("  file length  ", stdout);
		print_change(r->file_before, r->file_after);
		putchar('\n');
	}
}

static void print_text(const char *path, bool is_dry, const struct vd_compact_result *r,
		       const struct compact_guest *guest, double seconds)
{
	tool_print_safe(stdout, path);
	if (is_dry)
		print_dry(r);
	else
		print_done(r, guest, seconds);
	print_bytes("in blocks for which the host held nothing", r->dropped_hole);
	print_bytes("in blocks full of zeros", r->dropped_zero);
	print_bytes("claimed by blocks without content", r->dropped_anchor);
	print_bytes("not in use, by the file systems or the layout", r->freed_guest);
	print_bytes("zeros inside blocks", r->punched);
	print_bytes("moved by sharing, not by copying", r->bytes_shared);
	print_bytes("shared with copies of the file: the host keeps these", r->shared_extents);
	if (r->waited_ns >= MS)
		printf("  %8.1f s  waited because the guest was slow\n",
		       (double)r->waited_ns / 1e9);
	if (!is_dry && !r->is_complete)
		printf("  not all of it is done%s: run it again to go on\n",
		       r->n_deferred ? ", some blocks were too busy" : "");
}

static void put_json(const char *path, bool is_dry, const struct vd_compact_opts *opts,
		     const struct vd_compact_result *r, const struct compact_guest *guest,
		     double seconds, json_t *file_systems)
{
	json_t *object = tool_json_object(path);

	tool_json_set_text(object, "level", vd_compact_level_name(opts->level));
	json_object_set_new(object, "dry_run", json_boolean(is_dry));
	compact_report_put(object, r);
	if (guest)
		compact_guest_put(object, guest);
	if (file_systems)
		json_object_set_new(object, "file_systems", file_systems);
	json_object_set_new(object, "seconds", json_real(seconds));
	tool_json_put(object);
}

void tool_compact_print(const char *path, const struct vd_compact_opts *opts,
			const struct vd_compact_result *result, const struct compact_guest *guest,
			double seconds, json_t *file_systems)
{
	bool is_dry = opts->flags & VD_COMPACT_DRY_RUN;

	if (tool_json_is_on()) {
		put_json(path, is_dry, opts, result, guest, seconds, file_systems);
	} else {
		json_decref(file_systems);
		print_text(path, is_dry, result, guest, seconds);
	}
}
