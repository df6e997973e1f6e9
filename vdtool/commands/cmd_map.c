/* SPDX-License-Identifier: MIT */
/* vdtool map. Extents are printed as they come: a big image has millions of them. */
#include <inttypes.h>

#include "image.h"
#include "output.h"

static void put_extent(const struct vd_extent *e)
{
	json_t *item;

	if (!tool_json_is_on()) {
		printf("%16" PRIu64 " %16" PRIu64 "  %-6s %5" PRIu32 "  ", e->start, e->length,
		       vd_state_name(e->state), e->depth);
		if (e->offset == VD_NO_OFFSET)
			printf("%16s\n", "-");
		else
			printf("%16" PRIu64 "\n", e->offset);
		return;
	}
	item = tool_json_object(NULL);
	tool_json_set_number(item, "start", e->start);
	tool_json_set_number(item, "length", e->length);
	tool_json_set_number(item, "depth", e->depth);
	tool_json_set_text(item, "state", vd_state_name(e->state));
	tool_json_set_number(item, "offset", e->offset);
	tool_json_stream_item(item);
}

static bool is_continued(const struct vd_extent *a, const struct vd_extent *b)
{
	if (a->state != b->state || a->depth != b->depth)
		return false;
	if (a->offset == VD_NO_OFFSET || b->offset == VD_NO_OFFSET)
		return a->offset == b->offset;
	return a->offset + a->length == b->offset;
}

static int put_extents(struct vd_disk *disk, uint64_t start, uint64_t length, struct vd_error *err)
{
	struct vd_extent last = {.length = 0}, next;

	for (uint64_t end = start + length; start < end; start += next.length) {
		int rc = vd_disk_map(disk, start, end - start, &next, err);

		if (rc)
			return rc;
		if (last.length && is_continued(&last, &next)) {
			last.length += next.length;
			continue;
		}
		if (last.length)
			put_extent(&last);
		last = next;
	}
	if (last.length)
		put_extent(&last);
	return 0;
}

/** Without the parents if they can't be had: their parts are then shown as "parent". */
static int open_for_map(struct vd_disk **disk, const char *path, const struct tool_args *args,
			struct vd_error *err)
{
	struct vd_error alone_err = VD_ERROR_INIT;
	int rc;

	if (args->is_set[OPT_NO_PARENTS])
		return tool_image_open(disk, path, args, VD_OPEN_LOOK | VD_OPEN_NO_PARENTS, err);
	rc = tool_image_open(disk, path, args, VD_OPEN_LOOK, err);
	if (!rc || tool_image_open(disk, path, args, VD_OPEN_LOOK | VD_OPEN_NO_PARENTS, &alone_err))
		return rc;
	tool_note("%s: shown without its parent: %s", path, err->text);
	return 0;
}

static int map(const char *path, const struct tool_args *args)
{
	struct vd_error err = VD_ERROR_INIT;
	uint64_t offset, length;
	struct vd_disk *disk;
	int rc, exit_code;

	if (open_for_map(&disk, path, args, &err)) {
		tool_json_put_error(path, &err);
		return tool_fail(path, &err);
	}
	exit_code = tool_image_range(args, disk, path, &offset, &length);
	if (exit_code) {
		vd_disk_close(disk, NULL);
		return exit_code;
	}
	if (tool_json_is_on()) {
		tool_json_stream_begin(path, "extents");
	} else {
		if (args->n_operands > 1) {
			tool_print_safe(stdout, path);
			puts(":");
		}
		printf("%16s %16s  %-6s %5s  %16s\n", "start", "length", "state", "depth",
		       "offset");
	}
	rc = put_extents(disk, offset, length, &err);
	if (tool_json_is_on()) {
		json_t *more = tool_json_object(NULL);

		if (rc)
			tool_json_set_error(more, &err);
		tool_json_stream_end(more);
	}
	vd_disk_close(disk, NULL);
	return rc ? tool_fail(path, &err) : TOOL_DONE;
}

int cmd_map(const struct tool_args *args)
{
	int exit_code = TOOL_DONE;

	for (int i = 0; i < args->n_operands; i++)
		exit_code = tool_exit_worse(exit_code, map(args->operands[i], args));
	return exit_code;
}
