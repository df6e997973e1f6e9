/* SPDX-License-Identifier: MIT */
/*
 * Probing, and the guard of a probed raw image. Input: length of the store, start and end of it,
 * then writes by the guest (where, how long, bytes or zeros).
 * Property: the same bytes are always recognised as the same; what isn't raw or VHDX isn't opened;
 * whatever a guest writes to an image that was probed as raw, it is recognised as raw afterwards,
 * and holds all writes that were answered with success, and of those that were refused old or new
 * bytes.
 */
#include <stdlib.h>
#include <string.h>

#include <vdisk/disk.h>
#include <vdisk/sys/io.h>

#include "fuzz.h"
#include "store.h"

#define MAX_LEN 16384u

struct guarded {
	struct store *store;
	struct vd_io *io;
	struct vd_disk *disk;
	uint8_t *model;
	size_t len; /* of the disk */
};

static const char *probe(struct vd_io *io)
{
	const char *format = NULL;

	FUZZ_CHECK(vd_probe(io, &format, NULL) == 0 && format, "probing failed");
	return format;
}

/* A refused change that reaches over the guarded part may have been made in part: old or new, each
 * byte (vd_disk_write's promise). */
static void settle_refused(struct guarded *g, size_t off, size_t len, const uint8_t *bytes)
{
	uint8_t found[64 * 64];

	FUZZ_CHECK(vd_disk_read(g->disk, found, len, off, NULL) == 0, "read");
	for (size_t i = 0; i < len; i++)
		FUZZ_CHECK(found[i] == g->model[off + i] || found[i] == (bytes ? bytes[i] : 0),
			   "a refused change left a third thing at %zu", off + i);
	memcpy(g->model + off, found, len);
}

/* One write or zeroing. */
static void guest_write(struct guarded *g, struct feed *feed)
{
	uint8_t bytes[64] = {0};
	uint64_t where = feed_int(feed, 2), n = feed_int(feed, 1);
	size_t len = n & 63, off;
	bool is_zeroing = n & 64, is_discard = n & 128;
	int rc;

	/* Near the start or near the end, where signatures are. */
	off = where & 0x8000 ? g->len - (size_t)(where & 0x3ff) % g->len : (size_t)where % g->len;
	if (is_zeroing)
		len *= 64;
	else
		feed_bytes(feed, bytes, len);
	if (off > g->len)
		off = 0;
	if (len > g->len - off)
		len = g->len - off;
	if (!len)
		return;
	if (is_zeroing && is_discard)
		rc = vd_disk_discard(g->disk, off, len, NULL);
	else if (is_zeroing)
		rc = vd_disk_write_zeroes(g->disk, off, len, 0, NULL);
	else
		rc = vd_disk_write(g->disk, bytes, len, off, NULL);
	FUZZ_CHECK(rc == 0 || rc == VD_EDENIED, "a write gives %d", rc);
	FUZZ_CHECK(strcmp(probe(g->io), "raw") == 0, "a guest's write makes it %s", probe(g->io));
	if (rc)
		settle_refused(g, off, len, is_zeroing ? NULL : bytes);
	if (rc == 0 && is_zeroing && is_discard)
		FUZZ_CHECK(vd_disk_read(g->disk, g->model + off, len, off, NULL) == 0, "read");
	else if (rc == 0 && is_zeroing)
		memset(g->model + off, 0, len);
	else if (rc == 0)
		memcpy(g->model + off, bytes, len);
}

static void check_content(struct guarded *g)
{
	uint8_t *bytes = malloc(g->len);

	FUZZ_CHECK(bytes && vd_disk_read(g->disk, bytes, g->len, 0, NULL) == 0, "read");
	FUZZ_CHECK(memcmp(bytes, g->model, g->len) == 0, "other content than was written");
	free(bytes);
}

static void use_raw(struct guarded *g, struct feed *feed)
{
	g->len = (size_t)vd_disk_size(g->disk);
	g->model = calloc(1, g->len + 1);
	FUZZ_CHECK(g->model && vd_disk_read(g->disk, g->model, g->len, 0, NULL) == 0, "read");
	while (feed->n > 3 && g->len)
		guest_write(g, feed);
	check_content(g);
	free(g->model);
	fuzz_deep();
}

static void run(const uint8_t *data, size_t size)
{
	struct feed feed = {data, size};
	size_t len = (size_t)feed_int(&feed, 2) % MAX_LEN, n_head = (size_t)feed_int(&feed, 1);
	size_t n_tail = (size_t)feed_int(&feed, 1);
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct guarded g = {.store = store_new(NULL)};
	uint8_t bytes[256];
	const char *format;
	int rc;

	store_truncate(g.store, len);
	n_head = feed_bytes(&feed, bytes, n_head);
	store_write(g.store, bytes, n_head, 0);
	n_tail = feed_bytes(&feed, bytes, n_tail);
	store_write(g.store, bytes, n_tail, len > 512 ? len - 512 : 0);
	g.io = store_io(g.store, true);
	format = probe(g.io);
	FUZZ_CHECK(strcmp(format, probe(g.io)) == 0, "%s, and then not", format);
	opts.flags = VD_OPEN_WRITE;
	rc = vd_disk_open_io(&g.disk, g.io, &opts, NULL);
	if (strcmp(format, "raw") == 0) {
		FUZZ_CHECK(rc == 0 || store_length(g.store) == 0, "a raw image gives %d", rc);
		if (rc == 0)
			use_raw(&g, &feed);
	} else {
		FUZZ_CHECK(rc != 0, "%s was opened", format);
		FUZZ_CHECK(rc == VD_EUNSUPPORTED || strcmp(format, "vhdx") == 0, "%s gives %d",
			   format, rc);
	}
	if (rc == 0)
		FUZZ_CHECK(vd_disk_close(g.disk, NULL) == 0, "close");
	vd_io_close(g.io);
	store_free(g.store);
}

static void seed(void)
{
	fuzz_seed("empty", "\0\0\0\0", 4);
	fuzz_seed("raw", "\0\x10\2\0hi\0\0\10conectix\0\0\2co\2\0\6nectix\0\x82\1x", 34);
	fuzz_seed("qcow2", "\0\x10\4\0QFI\xfb", 8);
	fuzz_seed("vmdk", "\0\x10\0\0\0\0\12#x\nversion\7\0\4n=1\n", 22);
	fuzz_seed("vhdx", "\0\x20\0\0\0\0\10vhdxfile\4\0\4file", 22);
	fuzz_seed("vhd", "\0\x20\0\10conectix\0\0\1x", 16);
	fuzz_seed("tail", "\0\x20\1\0x\0\x82\4koly\0\x82\10conectix", 23);
	fuzz_seed("zero", "\0\x20\4\0xxxx\0\0\x42\0\x82\x43\0\0\xc4\0\0\x10vhdxfilevhdxfile", 36);
	fuzz_seed("odd", "\1\x02\4\0vers\0\x80\1x\1\0\4dxfi", 16);
}

const struct fuzz_target fuzz_probe = {
    .name = "probe", .run = run, .seed = seed, .max_memory = 1 << 20};
