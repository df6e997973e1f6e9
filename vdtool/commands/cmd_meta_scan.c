/* SPDX-License-Identifier: MIT */
/* vdtool meta scan: what is on the disk, found out without running it. */
#include <inttypes.h>
#include <string.h>

#include <vdisk/guest.h>

#include "image.h"
#include "metadata.h"
#include "output.h"
#include "tempfile.h"

/** 61204 as "61,204". */
static const char *thousands(uint64_t n, char text[32])
{
	char plain[24];
	size_t len = (size_t)snprintf(plain, sizeof(plain), "%" PRIu64, n), at = 0;

	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			text[at++] = ',';
		text[at++] = plain[i];
	}
	text[at] = '\0';
	return text;
}

static void hear_problem(void *user, const char *text)
{
	const char *path = user;

	tool_note("%s: %s", path, text);
}

static int hear_progress(void *user, uint64_t n_files, const char *what)
{
	(void)user;
	(void)n_files;
	(void)what;
	return tool_stop_signal ? 1 : 0;
}

/** "3.1 of 40 GiB used" */
static void print_space(const struct vd_scan_result *r)
{
	char size[TOOL_SIZE_TEXT], used[TOOL_SIZE_TEXT];
	char *unit, *size_unit;

	tool_size_format(r->fs_size, size);
	if (r->fs_used == VD_UNKNOWN) {
		printf(", %s", size);
		return;
	}
	tool_size_format(r->fs_used, used);
	unit = strrchr(used, ' ');
	size_unit = strrchr(size, ' ');
	if (unit && size_unit && strcmp(unit, size_unit) == 0)
		*unit = '\0';
	printf(", %s of %s used", used, size);
}

static void print_result(const char *path, const struct tool_args *args,
			 const struct vd_scan_result *r, double seconds)
{
	char number[32];

	tool_print_safe(stdout, path);
	fputs(": ", stdout);
	tool_print_safe(stdout, r->os[0] ? r->os : "no operating system recognised");
	if (r->root_type[0]) {
		fputs(" (", stdout);
		tool_print_safe(stdout, r->root_type);
		if (r->fs_size != VD_UNKNOWN && r->fs_size)
			print_space(r);
		putchar(')');
	}
	if (r->n_packages)
		printf(", %s package%s", thousands(r->n_packages, number),
		       r->n_packages == 1 ? "" : "s");
	if (args->is_set[OPT_FILES])
		printf(", %s file%s", thousands(r->n_files, number), r->n_files == 1 ? "" : "s");
	printf("  [%.1f s, nothing was run]\n", seconds);
}

static void put_result(const char *path, const struct tool_args *args,
		       const struct vd_scan_result *r, double seconds)
{
	json_t *object = tool_json_object(path);

	tool_json_set_text(object, "os", r->os[0] ? r->os : NULL);
	tool_json_set_text(object, "root_type", r->root_type[0] ? r->root_type : NULL);
	tool_json_set_number(object, "root_size", r->fs_size ? r->fs_size : VD_NO_OFFSET);
	tool_json_set_number(object, "root_used", r->fs_size ? r->fs_used : VD_NO_OFFSET);
	tool_json_set_number(object, "packages", r->n_packages);
	tool_json_set_number(object, "files", args->is_set[OPT_FILES] ? r->n_files : VD_NO_OFFSET);
	tool_json_set_number(object, "problems", r->n_problems);
	json_object_set_new(object, "seconds", json_real(seconds));
	tool_json_put(object);
}

/** What changes while it is read would be told wrong, so nobody is asked to do it for us. */
static void say_when(struct vd_error *err)
{
	struct vd_error why = *err;

	vd_error_set(err, VD_EBUSY, why.sys_errno, why.offset,
		     "%.300s; a disk is scanned while nobody writes to it: unmount it first",
		     why.text);
}

static int scan(const char *path, const struct tool_args *args)
{
	struct vd_scan_result result = {.size = sizeof(result)};
	struct vd_scan_opts opts = {.size = sizeof(opts)};
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;
	double start = tool_now();
	int rc;

	opts.flags = (args->is_set[OPT_FILES] ? VD_SCAN_FILES : 0) |
		     (args->is_set[OPT_DIGESTS] ? VD_SCAN_DIGESTS : 0);
	opts.problem = hear_problem;
	opts.progress = hear_progress;
	opts.user = (void *)(uintptr_t)path;
	rc = tool_meta_scan(&image, path, args, &err);
	if (rc == VD_EBUSY)
		say_when(&err);
	if (rc)
		return tool_fail_image(path, &err);
	rc = vd_image_scan(image, &opts, &result, &err);
	if (!rc)
		rc =
		    tool_meta_commit(image, args, args->is_set[OPT_FILES] ? "--files" : NULL, &err);
	if (!rc && tool_json_is_on())
		put_result(path, args, &result, tool_now() - start);
	else if (!rc)
		print_result(path, args, &result, tool_now() - start);
	if (rc == VD_ECANCELED && tool_stop_signal) {
		vd_image_close(image, NULL);
		return 128 + tool_stop_signal;
	}
	return tool_image_end(image, path, rc ? tool_fail_image(path, &err) : TOOL_DONE);
}

int cmd_meta_scan(const struct tool_args *args)
{
	if (args->is_set[OPT_DIGESTS] && !args->is_set[OPT_FILES])
		return tool_usage(args->command, "--digests: only with --files");
	tool_signals_defer();
	return tool_each_image(args, scan);
}
