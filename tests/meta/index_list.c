/* SPDX-License-Identifier: MIT */
/*
 * index_list IMAGE: the file index of an image, a line a file: type (f, d, l or ?), bytes, time of
 * modification, SHA-256 (or -), path. Sizes of folders and links are left out.
 */
#include <inttypes.h>
#include <stdio.h>

#include <vdisk/guest.h>
#include <vdisk/image.h>

static int print(void *user, const struct vd_indexed_file *file)
{
	char type = '?';

	(void)user;
	switch (file->type) {
	case VD_FILE_REGULAR:
		type = 'f';
		break;
	case VD_FILE_FOLDER:
		type = 'd';
		break;
	case VD_FILE_SYMLINK:
		type = 'l';
		break;
	}
	printf("%c %" PRIu64 " %" PRIi64 " ", type, type == 'f' ? file->file_size : 0, file->mtime);
	for (int i = 0; file->sha256 && i < 32; i++)
		printf("%02x", file->sha256[i]);
	printf("%s %s\n", file->sha256 ? "" : "-", file->path);
	return 0;
}

int main(int argc, char **argv)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_image *image;

	if (argc != 2 || vd_image_open(&image, argv[1], VD_PURPOSE_INSPECT, NULL, NULL, &err) ||
	    vd_meta_read_file_index(vd_image_meta(image), print, NULL, &err)) {
		fprintf(stderr, "index_list: %s\n", argc == 2 ? err.text : "which image?");
		return 1;
	}
	vd_image_close(image, NULL);
	return 0;
}
