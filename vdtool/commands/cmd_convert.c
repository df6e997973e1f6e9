/* SPDX-License-Identifier: MIT */
/* vdtool convert */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vdisk/sys/io.h>

#include "carry.h"
#include "compare.h"
#include "copy.h"
#include "image.h"
#include "metadata.h"
#include "output.h"
#include "tempfile.h"

struct job {
	const struct tool_args *args;
	const char *source, *target; /* as named by the user */
	bool is_from_stdin, is_to_stdout;
	const char *format;     /* of the target */
	struct vd_image *image; /* the source, if it is one */
	struct vd_disk *from;
	struct vd_disk_info info; /* of the source, if it is an image */
	uint64_t size;            /* of the source disk */
	uint64_t source_bytes;    /* the same before it was rounded to sectors */
	uint64_t target_size;
	struct tool_carry carry;
	struct tool_copy copy;
};

static bool is_raw(const char *format)
{
	return strcmp(format, VD_FORMAT_RAW) == 0;
}

static int check_usage(struct job *job)
{
	const struct tool_args *args = job->args;
	const char *source_format = args->text[OPT_SOURCE_FORMAT];

	job->format = args->text[OPT_FORMAT];
	if (!job->format)
		job->format = job->is_to_stdout ? VD_FORMAT_RAW : VD_FORMAT_VHDX;
	if (job->is_to_stdout && !is_raw(job->format))
		return tool_usage(args->command, "stdout takes raw only");
	if (job->is_to_stdout && tool_json_is_on())
		return tool_usage(args->command, "--json: stdout is taken by the disk");
	if (job->is_from_stdin && source_format && !is_raw(source_format))
		return tool_usage(args->command, "stdin is raw only");
	if (args->is_set[OPT_SIZE] && !job->is_from_stdin)
		return tool_usage(args->command, "--size is for a disk that comes on stdin");
	if (args->is_set[OPT_VERIFY] && (job->is_from_stdin || job->is_to_stdout))
		return tool_usage(args->command, "--verify: stdin and stdout can't be read again");
	if (args->is_set[OPT_BLOCK_SIZE] && args->number[OPT_BLOCK_SIZE] > UINT32_MAX)
		return tool_usage(args->command, "--block-size %s: more than 256M",
				  args->text[OPT_BLOCK_SIZE]);
	if (is_raw(job->format) &&
	    (args->is_set[OPT_BLOCK_SIZE] || args->is_set[OPT_UUID] ||
	     args->is_set[OPT_SECTOR_SIZE] || args->is_set[OPT_PHYSICAL_SECTOR_SIZE]))
		return tool_usage(args->command,
				  "a raw image has no blocks, sectors or ids to set");
	if (job->is_to_stdout && isatty(STDOUT_FILENO))
		return tool_usage(args->command, "stdout is a terminal");
	return TOOL_DONE;
}

/** Sources never change: the same file under both names isn't converted in place. */
static int check_not_same(const struct job *job)
{
	struct stat from, to;

	if (stat(job->source, &from) == 0 && stat(job->target, &to) == 0 &&
	    from.st_dev == to.st_dev && from.st_ino == to.st_ino)
		return tool_say(TOOL_USAGE, job->target, "is the source itself");
	return TOOL_DONE;
}

static int open_stdin(struct job *job)
{
	const struct tool_args *args = job->args;
	struct stat st;
	off_t at;

	if (isatty(STDIN_FILENO))
		return tool_usage(args->command, "stdin is a terminal");
	job->size = args->number[OPT_SIZE];
	if (args->is_set[OPT_SIZE])
		return job->size ? TOOL_DONE : tool_usage(args->command, "--size 0: no disk");
	at = lseek(STDIN_FILENO, 0, SEEK_CUR);
	if (at < 0 || fstat(STDIN_FILENO, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= at)
		return tool_usage(args->command,
				  "how big is the disk on stdin? Say so with --size SIZE");
	job->size = (uint64_t)(st.st_size - at);
	return TOOL_DONE;
}

static int open_source(struct job *job)
{
	uint64_t length;
	struct vd_error err = VD_ERROR_INIT;

	job->info.size = sizeof(job->info);
	if (job->is_from_stdin) {
		int exit_code = open_stdin(job);

		job->source_bytes = job->size;
		return exit_code;
	}
	if (tool_open_for(&job->image, job->source, VD_PURPOSE_CONVERT, job->args, 0, NULL, &err))
		return tool_fail(job->source, &err);
	job->from = vd_image_disk(job->image);
	vd_disk_get_info(job->from, &job->info);
	job->size = job->source_bytes = job->info.virtual_size;
	if (is_raw(job->info.format) && !vd_io_length(vd_disk_io(job->from), &length, NULL))
		job->source_bytes = length;
	return TOOL_DONE;
}

static uint32_t sector_choice(const struct job *job, enum tool_option_id id, uint32_t of_source)
{
	if (job->args->is_set[id])
		return (uint32_t)atoi(job->args->text[id]);
	/* A raw file knows nothing of sectors: then the defaults of create. */
	return job->from && !is_raw(job->info.format) ? of_source : 0;
}

static int create_target(struct job *job)
{
	const struct tool_args *args = job->args;
	struct vd_create_opts opts = VD_CREATE_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	uint32_t sector;

	opts.format = job->format;
	if (args->text[OPT_TYPE] && strcmp(args->text[OPT_TYPE], "fixed") == 0)
		opts.type = VD_TYPE_FIXED;
	if (!is_raw(job->format)) {
		opts.block_size = (uint32_t)args->number[OPT_BLOCK_SIZE];
		opts.logical_sector_size =
		    sector_choice(job, OPT_SECTOR_SIZE, job->info.logical_sector_size);
		opts.physical_sector_size =
		    sector_choice(job, OPT_PHYSICAL_SECTOR_SIZE, job->info.physical_sector_size);
		opts.disk_id = args->is_set[OPT_UUID] ? args->uuid : NULL;
	}
	sector = opts.logical_sector_size ? opts.logical_sector_size : 512;
	job->target_size = (job->size + sector - 1) / sector * sector;
	if (job->target_size != job->source_bytes)
		tool_note("%s: %" PRIu64 " bytes aren't whole sectors: the new disk has %" PRIu64,
			  job->source, job->source_bytes, job->target_size);
	opts.virtual_size = job->target_size;
	if (tool_image_create(tool_temp_path(), &opts, args->is_set[OPT_NO_SYNC], &err))
		return tool_fail(job->target, &err);
	return TOOL_DONE;
}

static int open_target(struct job *job, struct vd_disk **out, uint32_t flags)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;

	opts.flags = flags;
	opts.format = job->format;
	return vd_disk_open(out, tool_temp_path(), &opts, &err) ? tool_fail(job->target, &err)
								: TOOL_DONE;
}

static int run_copy(struct job *job)
{
	struct vd_error err = VD_ERROR_INIT;
	struct tool_progress progress;
	int rc;

	tool_progress_begin(&progress, job->args, "converting", job->size);
	job->copy.from = job->from;
	job->copy.size = job->size;
	job->copy.progress = &progress;
	job->copy.is_unsynced = job->args->is_set[OPT_NO_SYNC];
	rc = tool_copy_run(&job->copy, &err);
	tool_progress_end(&progress);
	if (!rc)
		return TOOL_DONE;
	if (job->copy.sys_errno)
		return tool_stdout_failed(job->copy.sys_errno);
	if (job->copy.has_failed_at_source)
		return tool_fail(job->is_from_stdin ? "standard input" : job->source, &err);
	return tool_fail(job->target, &err);
}

static int verify(struct job *job)
{
	struct vd_error err = VD_ERROR_INIT;
	struct tool_difference difference;
	struct tool_progress progress;
	struct vd_disk *disks[2] = {job->from, NULL};
	int rc, which, exit_code = open_target(job, &disks[1], 0);

	if (exit_code)
		return exit_code;
	tool_progress_begin(&progress, job->args, "verifying", job->target_size);
	rc = tool_compare(disks, &progress, &difference, &which, &err);
	tool_progress_end(&progress);
	vd_disk_close(disks[1], NULL);
	if (rc)
		return tool_fail(which ? job->target : job->source, &err);
	if (difference.is_different)
		return tool_say(TOOL_DIFFERS, job->target,
				"the copy differs from %s at offset %" PRIu64 "; it was removed",
				job->source, difference.offset);
	return TOOL_DONE;
}

static void fill_carry(struct job *job)
{
	job->carry =
	    (struct tool_carry){.args = job->args,
				.source = job->source,
				.target = job->target,
				.from = job->from,
				.to_sidecar = is_raw(job->format) || job->args->is_set[OPT_SIDECAR],
				.is_replacing = access(job->target, F_OK) == 0};
}

static int convert_to_file(struct job *job)
{
	uint32_t unsynced = job->args->is_set[OPT_NO_SYNC] ? VD_OPEN_NO_SYNC : 0;
	int exit_code = check_not_same(job);

	fill_carry(job);
	if (!exit_code)
		exit_code = tool_temp_begin(job->target, job->args->is_set[OPT_FORCE]);
	if (!exit_code)
		exit_code = create_target(job);
	if (!exit_code)
		exit_code = open_target(job, &job->copy.to, VD_OPEN_WRITE | unsynced);
	if (!exit_code)
		exit_code = run_copy(job);
	if (!exit_code && !job->carry.to_sidecar)
		exit_code = tool_carry_into(&job->carry, job->copy.to);
	if (job->copy.to) {
		struct vd_disk *to = job->copy.to;

		/* Closing syncs (or not: --no-sync); what has failed needn't be closed well. */
		if (exit_code)
			vd_disk_close(to, NULL);
		else
			exit_code = tool_image_close(to, job->target);
	}
	if (!exit_code && job->args->is_set[OPT_VERIFY])
		exit_code = verify(job);
	if (exit_code)
		tool_temp_abandon();
	else
		exit_code = unsynced ? tool_temp_commit_unsynced() : tool_temp_commit();
	if (!exit_code && job->carry.to_sidecar)
		exit_code = tool_carry_beside(&job->carry);
	return exit_code;
}

static void report(const struct job *job)
{
	json_t *object;

	if (!tool_json_is_on())
		return;
	object = tool_json_object(job->target);
	tool_json_set_path(object, "source", job->source);
	tool_json_set_text(object, "format", job->format);
	tool_json_set_number(object, "virtual_size", job->target_size);
	tool_json_set_number(object, "bytes_written", job->copy.bytes_written);
	tool_json_set_number(object, "bytes_shared", job->copy.bytes_shared);
	json_object_set_new(object, "verified", json_boolean(job->args->is_set[OPT_VERIFY]));
	tool_json_put(object);
}

int cmd_convert(const struct tool_args *args)
{
	struct job job = {.args = args, .source = args->operands[0], .target = args->operands[1]};
	int exit_code;

	job.is_from_stdin = strcmp(job.source, "-") == 0;
	job.is_to_stdout = strcmp(job.target, "-") == 0;
	exit_code = check_usage(&job);
	if (!exit_code)
		exit_code = open_source(&job);
	if (!exit_code && job.is_to_stdout) {
		fill_carry(&job);
		tool_carry_nowhere(&job.carry);
	}
	if (!exit_code)
		exit_code = job.is_to_stdout ? run_copy(&job) : convert_to_file(&job);
	vd_image_close(job.image, NULL);
	if (!exit_code)
		report(&job);
	return exit_code;
}
