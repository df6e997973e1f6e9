/* SPDX-License-Identifier: MIT */
/*
 * stamper write|raw|check FILE SEED [OFFSET LENGTH]...: stamped data (tests/support/stamp.h) into
 * a disk image through the library, or into a raw file; or see that an image holds it, and zeros
 * everywhere else. Units of 512 bytes; the file must be there.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vdisk/disk.h>

#include "model.h"
#include "stamp.h"

#define CHUNK ((size_t)1 << 20)

static int fail(const char *file, const char *why)
{
	fprintf(stderr, "stamper: %s: %s\n", file, why);
	return EXIT_FAILURE;
}

/* Stamp [offset, +len) of the disk, or of the raw file if there is no disk. */
static bool put(struct vd_disk *disk, int fd, uint64_t seed, uint64_t offset, uint64_t len,
		struct vd_error *err)
{
	static uint8_t buf[CHUNK];

	while (len) {
		size_t n = len < CHUNK ? (size_t)len : CHUNK;

		stamp_fill(buf, n, offset, 1, seed);
		if (disk ? vd_disk_write(disk, buf, n, offset, err) < 0
			 : pwrite(fd, buf, n, (off_t)offset) != (ssize_t)n)
			return false;
		offset += n;
		len -= n;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error err = VD_ERROR_INIT;
	struct vd_disk *disk = NULL;
	struct model *model = NULL;
	bool is_raw, is_check;
	uint64_t seed;
	char text[800];
	int fd = -1;

	if (argc < 4)
		return fail("usage", "stamper write|raw|check FILE SEED [OFFSET LENGTH]...");
	is_raw = !strcmp(argv[1], "raw");
	is_check = !strcmp(argv[1], "check");
	seed = strtoull(argv[3], NULL, 0);
	opts.flags = is_check ? 0 : VD_OPEN_WRITE;
	if (is_raw)
		fd = open(argv[2], O_WRONLY | O_CLOEXEC);
	else if (vd_disk_open(&disk, argv[2], &opts, &err) < 0)
		return fail(argv[2], err.text);
	if (is_raw && fd < 0)
		return fail(argv[2], "can't be opened");
	if (is_check)
		model = model_new(vd_disk_size(disk), seed);
	for (int i = 4; i + 1 < argc; i += 2) {
		uint64_t offset = strtoull(argv[i], NULL, 0), len = strtoull(argv[i + 1], NULL, 0);

		if (is_check)
			model_write(model, offset, len, 1);
		else if (!put(disk, fd, seed, offset, len, &err))
			return fail(argv[2], disk ? err.text : "can't be written");
	}
	if (is_check && !model_check_disk(model, MODEL_LIVE, disk, text, sizeof(text)))
		return fail(argv[2], text);
	if (disk && vd_disk_close(disk, &err) < 0)
		return fail(argv[2], err.text);
	if (fd >= 0 && close(fd) != 0)
		return fail(argv[2], "can't be closed");
	model_free(model);
	return EXIT_SUCCESS;
}
