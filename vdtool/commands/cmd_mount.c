/* SPDX-License-Identifier: MIT */
/* vdtool mount: becomes vdfuse, which does the work and whose exit code is ours. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "output.h"

#define ARGS_MAX 20

/** vdfuse beside this program, or in the build tree, or by PATH. */
static void run_vdfuse(char **argv)
{
	static const char *const places[] = {"vdfuse", "../vdfuse/vdfuse"};
	char path[4200], self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (n > 0) {
		self[n] = '\0';
		slash = strrchr(self, '/');
		for (size_t i = 0; slash && i < sizeof(places) / sizeof(places[0]); i++) {
			slash[1] = '\0';
			snprintf(path, sizeof(path), "%s%s", self, places[i]);
			execv(path, argv);
		}
	}
	execvp("vdfuse", argv);
}

int cmd_mount(const struct tool_args *args)
{
	size_t n_max = ARGS_MAX + 2 * args->n_parent_roots, n = 0;
	char **argv = calloc(n_max, sizeof(*argv));
	char *options = NULL;
	int exit_code;

	/* Whole: what is cut off could be the policy. */
	if (!argv ||
	    asprintf(&options, "%s%s%s", args->is_set[OPT_READ_WRITE] ? "rw" : "ro",
		     args->is_set[OPT_MOUNT_OPTIONS] ? "," : "",
		     args->is_set[OPT_MOUNT_OPTIONS] ? args->text[OPT_MOUNT_OPTIONS] : "") < 0) {
		free(argv);
		return tool_say(TOOL_FAILED, NULL, "out of memory");
	}
	argv[n++] = (char *)(uintptr_t) "vdfuse";
	if (args->is_set[OPT_FOREGROUND])
		argv[n++] = (char *)(uintptr_t) "-f";
	argv[n++] = (char *)(uintptr_t) "-o";
	argv[n++] = options;
	for (size_t i = 0; i < args->n_parent_roots; i++) {
		argv[n++] = (char *)(uintptr_t) "--parent-root";
		argv[n++] = (char *)(uintptr_t)args->parent_roots[i];
	}
	if (args->is_set[OPT_SOURCE_FORMAT]) {
		argv[n++] = (char *)(uintptr_t) "--source-format";
		argv[n++] = (char *)(uintptr_t)args->text[OPT_SOURCE_FORMAT];
	}
	if (args->is_set[OPT_POLICY]) {
		argv[n++] = (char *)(uintptr_t) "--policy";
		argv[n++] = (char *)(uintptr_t)args->text[OPT_POLICY];
	}
	if (args->is_set[OPT_OVERRIDE]) {
		argv[n++] = (char *)(uintptr_t) "--override";
		argv[n++] = (char *)(uintptr_t)args->text[OPT_OVERRIDE];
	}
	argv[n++] = (char *)(uintptr_t) "--";
	argv[n++] = args->operands[0];
	argv[n++] = args->operands[1];
	fflush(NULL);
	run_vdfuse(argv);
	exit_code = tool_say(TOOL_FAILED, NULL, "vdfuse can't be run: %s", strerror(errno));
	free(options);
	free(argv);
	return exit_code;
}
