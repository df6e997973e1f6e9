/* SPDX-License-Identifier: MIT */
/*
 * vhdi_cat IMAGE [PARENT...]: the content of an image as libvhdi reads it, to stdout. Parents are
 * given from the nearest to the farthest. Needs no FUSE, as vhdimount does.
 */
#include <libvhdi.h>
#include <stdio.h>
#include <stdlib.h>

static char buf[1 << 20];

static int fail(const char *what, libvhdi_error_t *error)
{
	fprintf(stderr, "vhdi_cat: %s: ", what);
	if (!error || libvhdi_error_backtrace_fprint(error, stderr) < 1)
		fputs("no reason given\n", stderr);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	libvhdi_error_t *error = NULL;
	libvhdi_file_t *child = NULL;
	libvhdi_file_t *first = NULL;
	size64_t size = 0;

	if (argc < 2)
		return fail("usage: vhdi_cat IMAGE [PARENT...]", NULL);
	for (int i = 1; i < argc; i++) {
		libvhdi_file_t *file = NULL;

		if (libvhdi_file_initialize(&file, &error) != 1 ||
		    libvhdi_file_open(file, argv[i], LIBVHDI_OPEN_READ, &error) != 1)
			return fail(argv[i], error);
		if (child && libvhdi_file_set_parent_file(child, file, &error) != 1)
			return fail(argv[i], error);
		if (!first)
			first = file;
		child = file;
	}
	if (libvhdi_file_get_media_size(first, &size, &error) != 1)
		return fail(argv[1], error);

	for (size64_t done = 0; done < size;) {
		size_t want = size - done < sizeof(buf) ? (size_t)(size - done) : sizeof(buf);
		ssize_t got =
		    libvhdi_file_read_buffer_at_offset(first, buf, want, (off64_t)done, &error);

		if (got <= 0)
			return fail(argv[1], error);
		if (fwrite(buf, 1, (size_t)got, stdout) != (size_t)got)
			return fail("stdout", NULL);
		done += (size64_t)got;
	}
	return fflush(stdout) == 0 ? EXIT_SUCCESS : fail("stdout", NULL);
}
