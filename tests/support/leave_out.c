/* SPDX-License-Identifier: MIT */
/*
 * In a build with -DVD_SABOTAGE, the variable of that name chooses the step that is left out: its
 * number or its name in base/sabotage.h; 0 or nothing: none. VD_SABOTAGE=list prints all as "NUMBER
 * NAME WHAT".
 */
#include "base/sabotage.h"

#ifdef VD_SABOTAGE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct step {
	const char *name, *what;
} steps[] = {{"NONE", "nothing"},
#define STEP(name, what) {#name, what},
	     VD_SABOTAGE_STEPS(STEP)};

/* No test may take a slip of the pen for a caught sabotage. */
static void refuse(const char *wanted)
{
	fprintf(stderr, "VD_SABOTAGE=%s: there is no such step\n", wanted);
	_exit(99);
}

__attribute__((constructor)) static void choose(void)
{
	const char *wanted = getenv("VD_SABOTAGE");
	char *end;

	if (!wanted || !*wanted)
		return;
	if (!strcmp(wanted, "list")) {
		for (int i = 1; i < VD_SABOTAGE_N; i++)
			printf("%d %s %s\n", i, steps[i].name, steps[i].what);
		exit(0);
	}
	vd_sabotage = (int)strtol(wanted, &end, 10);
	if (!*end)
		return;
	vd_sabotage = 0;
	for (int i = 1; i < VD_SABOTAGE_N; i++)
		if (!strcmp(wanted, steps[i].name))
			vd_sabotage = i;
	if (!vd_sabotage)
		refuse(wanted);
}
#else
typedef int vd_no_sabotage; /* a translation unit isn't empty in ISO C */
#endif
