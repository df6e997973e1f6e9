/* SPDX-License-Identifier: MIT */
/* version_order SCHEME < PAIRS: for each line "A B" a line "A lt|eq|gt B". Schemes as purl types.
 * version_order --pairs N: so many pairs of random Debian versions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdisk/query.h>

static unsigned int next_random(unsigned int *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 16;
}

/** Such as differ in little: made of few pieces. */
static void put_version(unsigned int *seed)
{
	static const char *const pieces[] = {"1", "0",  "00", "10", "9", ".",  "~", "+", "-",
					     "a", "rc", "Z",  "~~", "b", ".0", "2", "-0"};
	unsigned int n = 1 + next_random(seed) % 6;

	if (next_random(seed) % 4 == 0)
		printf("%u:", next_random(seed) % 3);
	/* dpkg wants a digit first, and no empty revision. */
	printf("%u", next_random(seed) % 3);
	for (unsigned int i = 0; i < n; i++)
		fputs(pieces[next_random(seed) % (sizeof(pieces) / sizeof(*pieces))], stdout);
	printf("1");
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"lt", "eq", "gt"};
	char a[256], b[256];
	unsigned int seed = 20261123;

	if (argc == 3 && strcmp(argv[1], "--pairs") == 0) {
		for (int i = atoi(argv[2]); i > 0; i--) {
			put_version(&seed);
			putchar(' ');
			put_version(&seed);
			putchar('\n');
		}
		return 0;
	}
	while (argc == 2 && scanf("%255s %255s", a, b) == 2) {
		int order = vd_version_compare(vd_version_scheme_of(argv[1]), a, b);
		int back = vd_version_compare(vd_version_scheme_of(argv[1]), b, a);

		if (order != -back || order < -1 || order > 1)
			return 1;
		printf("%s %s %s\n", a, names[order + 1], b);
	}
	return 0;
}
