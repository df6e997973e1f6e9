/* SPDX-License-Identifier: MIT */
/* vdtool compare */
#include <inttypes.h>
#include <string.h>

#include "compare.h"
#include "image.h"
#include "output.h"

static void report(const struct tool_args *args, struct vd_disk *const disks[2],
		   const struct tool_difference *difference)
{
	const char *a = args->operands[0], *b = args->operands[1];
	json_t *object;

	if (!tool_json_is_on()) {
		tool_print_safe(stdout, a);
		fputs(difference->is_different ? " and " : " = ", stdout);
		tool_print_safe(stdout, b);
		if (difference->is_different)
			printf(" differ, first at offset %" PRIu64 "\n", difference->offset);
		else
			puts(": same content");
		return;
	}
	object = tool_json_object(a);
	tool_json_set_path(object, "other", b);
	json_object_set_new(object, "equal", json_boolean(!difference->is_different));
	tool_json_set_number(object, "first_difference",
			     difference->is_different ? difference->offset : VD_NO_OFFSET);
	tool_json_set_number(object, "virtual_size", vd_disk_size(disks[0]));
	tool_json_set_number(object, "other_virtual_size", vd_disk_size(disks[1]));
	tool_json_put(object);
}

static int compare_open(const struct tool_args *args, struct vd_disk *const disks[2])
{
	uint64_t a = vd_disk_size(disks[0]), b = vd_disk_size(disks[1]);
	struct vd_error err = VD_ERROR_INIT;
	struct tool_difference difference = {false, 0, 0};
	struct tool_progress progress;
	int rc, which = 0;

	if (a != b && args->is_set[OPT_STRICT]) {
		difference.is_different = true;
		difference.offset = a < b ? a : b;
	} else {
		tool_progress_begin(&progress, args, "comparing", a > b ? a : b);
		rc = tool_compare(disks, &progress, &difference, &which, &err);
		tool_progress_end(&progress);
		if (rc) {
			tool_json_put_error(args->operands[which], &err);
			return tool_fail(args->operands[which], &err);
		}
	}
	if (a != b)
		tool_note("the sizes differ, %" PRIu64 " and %" PRIu64 " bytes%s", a, b,
			  difference.is_different ? "" : "; the rest of the longer disk is zero");
	report(args, disks, &difference);
	return difference.is_different ? TOOL_DIFFERS : TOOL_DONE;
}

int cmd_compare(const struct tool_args *args)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disks[2] = {NULL, NULL};
	int exit_code = TOOL_DONE;

	for (int k = 0; k < 2 && !exit_code; k++) {
		if (tool_image_open(&disks[k], args->operands[k], args, 0, &err)) {
			tool_json_put_error(args->operands[k], &err);
			exit_code = tool_fail(args->operands[k], &err);
		}
	}
	if (!exit_code)
		exit_code = compare_open(args, disks);
	vd_disk_close(disks[0], NULL);
	vd_disk_close(disks[1], NULL);
	return exit_code;
}
