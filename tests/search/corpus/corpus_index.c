/* SPDX-License-Identifier: MIT */
/* File indexes, two file systems each; written by the library's writer, listed by ourselves. */
#include "corpus.h"

#include <stdlib.h>
#include <string.h>

#include <vdisk/guest.h>

#include "image/fileindex.h"

struct listing {
	struct vd_index_writer *writer;
	FILE *files;
	const char *mount;
	unsigned i;
};

static void add(struct listing *l, const char *path, int digest)
{
	struct vd_indexed_file file = {.path = path, .file_size = 100, .mtime = CORPUS_NOW};
	struct vd_error err = VD_ERROR_INIT;
	uint8_t sha256[32];

	file.type = digest == -1 ? VD_FILE_FOLDER : VD_FILE_REGULAR;
	memset(sha256, digest & 255, sizeof(sha256));
	sha256[0] = (uint8_t)(digest >> 8);
	if (digest != -1 && l->i % 3)
		file.sha256 = sha256;
	if (vd_index_add(l->writer, &file, &err))
		corpus_die(path, err.text);
	fprintf(l->files, "%u\t%s%s\t", l->i, l->mount, path);
	for (int k = 0; file.sha256 && k < 32; k++)
		fprintf(l->files, "%02x", sha256[k]);
	fputs(file.sha256 ? "\n" : "-\n", l->files);
}

static void addf(struct listing *l, int digest, const char *fmt, unsigned number)
{
	char path[256];
	const char *at = strchr(fmt, '#');

	snprintf(path, sizeof(path), "%.*s%u%s", (int)(at - fmt), fmt, number, at + 1);
	add(l, path, digest);
}

static void list_root(struct listing *l)
{
	unsigned i = l->i;

	add(l, "/etc", -1);
	add(l, "/etc/Passwd", 16 + (int)(i / 3 % 4));
	add(l, "/etc/ssl", -1);
	add(l, "/etc/ssl/openssl.cnf", 32);
	add(l, "/opt", -1);
	add(l, "/opt/app", -1);
	addf(l, 33, "/opt/app/log4j-core-2.#.jar", i / 2 % 20);
	add(l, "/opt/app/sub", -1);
	addf(l, 34, "/opt/app/sub/log4j-core-1.#.jar", i / 2 % 5);
	add(l, "/srv", -1);
	addf(l, (int)(i << 8 | 0xab), "/srv/data-#.bin", i);
	add(l, "/var", -1);
	if (i % 4 == 1) {
		add(l, "/var/[x] (1).log", 35);
		add(l, "/var/a*b", 36);
		add(l, "/var/two words", 37);
	}
	add(l, "/x.log", 38);
	add(l, i % 8 == 5 ? "/ÜBUNG Straße" : "/ü", 39);
}

uint8_t *corpus_index(unsigned i, FILE *files, size_t *len)
{
	struct listing l = {NULL, files, "", i};
	struct vd_error err = VD_ERROR_INIT;
	const uint8_t *bytes;
	uint8_t *copy;

	if (!corpus_has_index(i))
		return NULL;
	if (vd_index_writer_open(&l.writer, CORPUS_NOW, i % 3 != 0, VD_INDEX_MAX, &err) ||
	    vd_index_begin(l.writer, 1, "/", &err))
		corpus_die("file index", err.text);
	list_root(&l);
	l.mount = "/boot";
	if (vd_index_begin(l.writer, 2, l.mount, &err))
		corpus_die("file index", err.text);
	add(&l, "/EFI", -1);
	add(&l, "/EFI/BOOTX64.EFI", 40);
	addf(&l, 41, "/vmlinuz-6.1.0-#", i % 30);
	if (vd_index_finish(l.writer, &bytes, len, &err))
		corpus_die("file index", err.text);
	copy = malloc(*len);
	memcpy(copy, bytes, *len);
	vd_index_writer_close(l.writer);
	return copy;
}
