/* SPDX-License-Identifier: MIT */
/* The command line of vdfuse, as people and as mount(8) give it. */
#ifndef VDFUSE_FUSE_OPTIONS_H
#define VDFUSE_FUSE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct fuse_options {
	const char *image, *mount_point;
	bool is_foreground, is_debugging, wants_help, wants_version;
	bool is_writable, allow_other, direct_io, no_splice, no_control;
	uid_t uid;
	gid_t gid;
	mode_t umask;
	unsigned int n_threads;
	const char *format, *source, *sidecar_dir, *policy_dir, *override_reason; /* into `kept` */
	char **parent_roots;
	size_t n_parent_roots;
	char *pass_on; /* what is the kernel's or libfuse's, commas in between */
	char **kept;
	size_t n_kept;
};

/** Returns 0, or an exit code after saying what is wrong. */
int fuse_options_parse(struct fuse_options *options, int argc, char **argv);
void fuse_options_free(struct fuse_options *options);

#endif
