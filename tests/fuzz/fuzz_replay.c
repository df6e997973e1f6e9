/* SPDX-License-Identifier: MIT */
/*
 * Replays inputs without libFuzzer, with any compiler:
 *
 *   fuzz_replay TARGET FILE|FOLDER...   runs each file; prints how many there were and went deep
 *   fuzz_replay --seeds TARGET FOLDER   writes the seeds that a corpus begins with
 *   fuzz_replay --list                  names of the targets
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static size_t n_inputs, n_deep;

static int replay(const struct fuzz_target *target, const char *path)
{
	static uint8_t data[1 << 20];
	FILE *file = fopen(path, "rb");
	size_t size;

	if (!file) {
		perror(path);
		return 1;
	}
	size = fread(data, 1, sizeof(data), file);
	fclose(file);
	if (getenv("FUZZ_VERBOSE"))
		fprintf(stderr, "%s\n", path);
	n_deep += fuzz_run(target, data, size);
	n_inputs++;
	return 0;
}

static int replay_all(const struct fuzz_target *target, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int rc = 0;

	if (!dir)
		return replay(target, path);
	while (!rc && (entry = readdir(dir))) {
		char name[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		rc = replay(target, name);
	}
	closedir(dir);
	return rc;
}

int main(int argc, char **argv)
{
	bool is_seeding = argc > 1 && strcmp(argv[1], "--seeds") == 0;
	const struct fuzz_target *target;
	int rc = 0;

	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (size_t i = 0; i < n_fuzz_targets; i++)
			puts(fuzz_targets[i]->name);
		return 0;
	}
	target = argc > 2 + is_seeding ? fuzz_find(argv[1 + is_seeding]) : NULL;
	if (!target) {
		fprintf(stderr, "usage: %s [--seeds] TARGET FILE|FOLDER...\n", argv[0]);
		return 2;
	}
	fuzz_init();
	if (is_seeding) {
		fuzz_seed_dir = argv[3];
		target->seed();
		return 0;
	}
	for (int i = 2; i < argc && !rc; i++)
		rc = replay_all(target, argv[i]);
	printf("%s: %zu inputs, %zu went deep\n", target->name, n_inputs, n_deep);
	return rc;
}
