/* SPDX-License-Identifier: MIT */
/*
 * Replays the committed corpora of the fuzz targets (tests/fuzz/). Also sees to it that they are
 * worth something: most inputs of a corpus must get past signatures and checksums.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fuzz/fuzz.h"

#define MAX_FILES 60u
#define MAX_SIZE  4096u

/* How many inputs of each corpus have to be accepted by the library. */
static const struct {
	const char *name;
	size_t least_deep;
} least[] = {
    {"headers", 5},   {"regions", 12}, {"metadata", 5},  {"locator", 12},        {"log", 20},
    {"bat", 24},      {"image", 20},   {"stateful", 24}, {"probe", 30},          {"utf16", 20},
    {"document", 14}, {"layout", 30},  {"fat", 25},      {"envelope", 8},        {"facts", 5},
    {"history", 4},   {"control", 5},  {"fileindex", 7}, {"layout_document", 3}, {"policy", 10},
    {"query", 17},    {"host", 20},
};

static size_t n_all, n_all_deep;

static bool replay(const struct fuzz_target *target, const char *folder, const char *name)
{
	uint8_t data[MAX_SIZE + 1];
	char path[4096];
	size_t size;
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "rb");
	if (!file)
		fail_msg("%s can't be opened", path);
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	if (size > MAX_SIZE)
		fail_msg("%s is larger than %u bytes", path, MAX_SIZE);
	return fuzz_run(target, data, size);
}

static void test_corpus(void **state)
{
	const struct fuzz_target *target = *state;
	const char *top = getenv("TOP");
	size_t n = 0, n_deep = 0, wanted = SIZE_MAX;
	struct dirent *entry;
	char folder[2048];
	DIR *dir;

	for (size_t i = 0; i < sizeof(least) / sizeof(least[0]); i++)
		if (strcmp(least[i].name, target->name) == 0)
			wanted = least[i].least_deep;
	snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s", top ? top : ".", target->name);
	dir = opendir(folder);
	if (!dir)
		fail_msg("there is no corpus %s", folder);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		n_deep += replay(target, folder, entry->d_name);
		n++;
	}
	closedir(dir);
	print_message("%s: %zu inputs, %zu went deep\n", target->name, n, n_deep);
	n_all += n;
	n_all_deep += n_deep;
	assert_true(n <= MAX_FILES);
	assert_true(n_deep >= wanted);
}

int main(void)
{
	struct CMUnitTest tests[32] = {{0}};
	int failed;

	fuzz_init();
	for (size_t i = 0; i < n_fuzz_targets; i++)
		tests[i] = (struct CMUnitTest){fuzz_targets[i]->name, test_corpus, NULL, NULL,
					       (void *)(uintptr_t)fuzz_targets[i]};
	failed = _cmocka_run_group_tests("fuzz_corpus", tests, n_fuzz_targets, NULL, NULL);
	printf("count: fuzz inputs replayed %zu\n", n_all);
	printf("count: of these, past signatures and checksums %zu\n", n_all_deep);
	return failed;
}
