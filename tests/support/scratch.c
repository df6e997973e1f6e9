/* SPDX-License-Identifier: MIT */
/* The private folder of a test: see scratch.h. */
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char made[64];

static void remove_made(void)
{
	(void)scratch_run("rm -rf '%s'", made);
}

const char *scratch_dir(void)
{
	const char *dir = getenv("T");

	if (dir && *dir)
		return dir;
	if (!*made) {
		strcpy(made, "/tmp/vdisk-test-XXXXXX");
		if (!mkdtemp(made))
			abort();
		atexit(remove_made);
	}
	return made;
}

const char *scratch_path(const char *name)
{
	static char *names[64], *paths[64];
	unsigned i = 0;

	while (i < 64 && names[i] && strcmp(names[i], name) != 0)
		i++;
	if (i == 64)
		abort();
	if (!names[i]) {
		names[i] = strdup(name);
		if (asprintf(&paths[i], "%s/%s", scratch_dir(), name) < 0)
			abort();
	}
	return paths[i];
}

int scratch_run(const char *fmt, ...)
{
	char command[8192];
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	status = system(command);
	return status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool scratch_has(const char *program)
{
	return scratch_run("command -v %s >/dev/null 2>&1", program) == 0;
}

struct vd_disk *scratch_open_io(struct vd_io *io, uint32_t flags)
{
	const char *dir = scratch_dir();
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;

	opts.flags = flags;
	opts.parent_roots = &dir;
	opts.n_parent_roots = 1;
	if (vd_disk_open_io(&disk, io, &opts, &err))
		fail_msg("open: %s", err.text);
	return disk;
}
