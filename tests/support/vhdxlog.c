/* SPDX-License-Identifier: MIT */
#include "vhdxlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int rc, const char *what, const struct vd_error *err)
{
	if (!rc)
		return;
	fprintf(stderr, "%s: %s\n", what, err->text);
	abort();
}

void image_make(struct image *image, uint32_t log_len)
{
	static uint8_t bytes[2 << 20];
	uint8_t id[16];

	memset(bytes, 0xee, sizeof(bytes));
	image->store = store_new(NULL);
	store_truncate(image->store, log_len > 3 * GEN_MIB ? 64 * GEN_MIB : 8 * GEN_MIB);
	store_write(image->store, bytes, sizeof(bytes), TARGET);
	image->io = store_io(image->store, true);
	gen_guid(LOG_ID, id);
	image->header = (struct vhdx_header){
	    .seq = 1,
	    .log_id = vd_guid_from_disk(id),
	    .version = 1,
	    .log_len = log_len,
	    .log_off = log_len > 3 * GEN_MIB ? 16 * GEN_MIB : GEN_MIB,
	};
}

void image_drop(struct image *image)
{
	vd_io_close(image->io);
	store_free(image->store);
}

void image_add(struct image *image, const struct gen_entry *entry)
{
	struct gen_entry e = *entry;

	if (!e.flushed_off)
		e.flushed_off = store_length(image->store);
	if (!e.last_off)
		e.last_off = store_length(image->store);
	gen_entry_emit(&e, LOG_ID, image->store, image->header.log_off, image->header.log_len);
}

struct vhdx_replay *image_scan(struct image *image)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vhdx_replay *replay;

	must(vhdx_replay_scan(&replay, image->io, &image->header, &err), "scan", &err);
	return replay;
}

struct vd_io *image_view(struct image *image)
{
	struct vd_error err = VD_ERROR_INIT;
	struct vd_io *view;

	must(vhdx_replay_view(&view, image_scan(image), image->io, &err), "view", &err);
	return view;
}

uint64_t image_apply(struct image *image)
{
	struct vhdx_replay *replay = image_scan(image);
	struct vd_error err = VD_ERROR_INIT;
	uint64_t seq = vhdx_replay_seq(replay);

	must(vhdx_replay_apply(replay, image->io, &err), "apply", &err);
	vhdx_replay_free(replay);
	return seq;
}
