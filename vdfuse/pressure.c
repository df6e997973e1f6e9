/* SPDX-License-Identifier: MIT */
/* See pressure.h. */
#include "pressure.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

/* What no machine has means no limit: version 1 has a number for that, version 2 a word. */
#define NO_LIMIT (UINT64_C(1) << 60)

bool pressure_mark(void)
{
	return prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) == 0;
}

static bool has_limit(const char *root, const char *group, const char *file)
{
	char path[4096], text[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s%s/%s", root, group, file);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	return text[0] >= '0' && text[0] <= '9' && strtoull(text, NULL, 10) < NO_LIMIT;
}

/* The group and all above it. */
static bool is_limited(const char *root, char *group, const char *file)
{
	for (;;) {
		char *slash = strrchr(group, '/');

		if (has_limit(root, group, file))
			return true;
		if (!slash)
			return false;
		*slash = '\0';
	}
}

/* A line of /proc/self/cgroup: "4:memory:/group", in version 2 "0::/group". */
static bool look_at_line(char *line)
{
	char *controllers = strchr(line, ':'), *group;

	if (!controllers)
		return false;
	*controllers++ = '\0';
	group = strchr(controllers, ':');
	if (!group)
		return false;
	*group++ = '\0';
	group[strcspn(group, "\n")] = '\0';
	if (strcmp(controllers, "memory") == 0)
		return is_limited("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes");
	return !controllers[0] && is_limited("/sys/fs/cgroup", group, "memory.max");
}

bool pressure_is_limited(void)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	bool is = false;
	char line[4096];

	while (f && !is && fgets(line, sizeof(line), f))
		is = look_at_line(line);
	if (f)
		fclose(f);
	return is;
}
