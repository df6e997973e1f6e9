/* SPDX-License-Identifier: MIT */
/*
 * Opening and closing: headers, then the log (replayed in place when we may write, in memory
 * when not), and only then what the log may have changed: regions, metadata. The BAT is left for
 * later.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/deadline.h"
#include "base/sabotage.h"
#include "format/formats.h"
#include "format/vhdx/vhdx_move.h"

static void free_all(struct vhdx *v)
{
	vhdx_pending_free(v);
	vhdx_commit_free(v);
	vhdx_space_free(v);
	vhdx_cache_free(v);
	vhdx_regions_free(&v->regions);
	vhdx_params_free(&v->params);
	if (v->io != v->file)
		vd_io_close(v->io);
	vd_io_close(v->file);
	vhdx_items_free(v);
	pthread_mutex_destroy(&v->map_lock);
	pthread_cond_destroy(&v->map_cond);
	pthread_mutex_destroy(&v->commit.lock);
	pthread_cond_destroy(&v->commit.cond);
	pthread_mutex_destroy(&v->session.lock);
	vhdx_move_free(v);
	vd_free_aligned(v);
}

/*
 * A writable opening of an image whose log isn't empty: a new FileWriteGuid in both headers,
 * the replay, then both headers say that the log is empty. A crash in between finds the same log.
 */
static int replay_in_place(struct vhdx *v, struct vhdx_replay *replay, struct vd_error *err)
{
	struct vhdx_header want;
	int ret;

	v->commit.header = v->headers.slot[v->headers.current];
	v->commit.slot = v->headers.current;
	want = v->commit.header;
	if (!VD_SABOTAGED(REPLAY_FILE_ID))
		want.file_write_id = vd_guid_random();
	if (VD_SABOTAGED(REPLAY_DATA_ID))
		want.data_write_id = vd_guid_random();
	if (VD_SABOTAGED(REPLAY_EARLY))
		memset(&want.log_id, 0, sizeof(want.log_id));
	ret = vhdx_headers_update(v, &want, err);
	if (!ret)
		ret = vhdx_replay_apply(replay, v->file, err);
	if (ret)
		return ret;
	memset(&want.log_id, 0, sizeof(want.log_id));
	ret = vhdx_headers_update(v, &want, err);
	if (ret)
		return ret;
	v->headers.slot[0] = v->headers.slot[1] = v->commit.header;
	v->headers.slot[!v->commit.slot].seq--;
	v->headers.is_valid[0] = v->headers.is_valid[1] = true;
	v->headers.current = v->commit.slot;
	atomic_store(&v->session.level, VHDX_SESSION_FILE);
	return 0;
}

/* Headers and log entries are told apart by their numbers, which must be able to go on. */
static int check_numbers(const struct vhdx *v, struct vd_error *err)
{
	uint64_t seq = v->headers.slot[v->headers.current].seq;

	if (seq <= UINT64_MAX / 2)
		return 0;
	return vd_error_set(err, VD_ECORRUPT, 0, VHDX_HEADER_OFF(v->headers.current),
			    "header sequence number %llu leaves no room to go on counting: open "
			    "the image read-only",
			    (unsigned long long)seq);
}

static int open_log(struct vhdx *v, struct vd_error *err)
{
	const struct vhdx_header *header = &v->headers.slot[v->headers.current];
	struct vhdx_replay *replay;
	int ret;

	if (vd_guid_is_nil(header->log_id))
		return 0;
	v->had_dirty_log = true;
	ret = vhdx_replay_scan(&replay, v->file, header, err);
	if (ret)
		return ret;
	v->log_seq_seen = vhdx_replay_seq(replay);
	if (!v->is_writable)
		return vhdx_replay_view(&v->io, replay, v->file, err);
	ret = replay_in_place(v, replay, err);
	vhdx_replay_free(replay);
	return ret;
}

static int check_writable(const struct vhdx *v, struct vd_error *err)
{
	const struct vhdx_header *header = &v->headers.slot[v->headers.current];

	if (header->log_len < VD_MIB)
		return vd_error_set(err, VD_ECORRUPT, 0, VHDX_HEADER_OFF(v->headers.current),
				    "the header names a log of %u bytes; writing needs one of at "
				    "least 1 MiB (MS-VHDX 2.2.2)",
				    header->log_len);
	return 0;
}

static int check_bat(const struct vhdx *v, struct vd_error *err)
{
	if (v->geo.n_entries > v->regions.bat.len / 8)
		return vd_error_set(err, VD_ECORRUPT, 0, v->regions.bat.off,
				    "the BAT region has room for %u entries, the disk needs %llu "
				    "(MS-VHDX 2.5)",
				    v->regions.bat.len / 8, (unsigned long long)v->geo.n_entries);
	return 0;
}

/* Behind this offset no write to a block can touch a structure. */
static uint64_t structures_end(const struct vhdx *v)
{
	const struct vhdx_header *header = &v->headers.slot[v->headers.current];
	uint64_t end = vd_max64(VHDX_HEAD_END, header->log_off + header->log_len);

	end = vd_max64(end, v->regions.bat.off + v->regions.bat.len);
	end = vd_max64(end, v->regions.metadata.off + v->regions.metadata.len);
	for (uint32_t i = 0; i < v->regions.n_unknown; i++)
		end = vd_max64(end, v->regions.unknown[i].off + v->regions.unknown[i].len);
	return end;
}

static int open_inner(struct vhdx *v, const struct vd_format_open *how, struct vd_error *err)
{
	uint64_t len;
	int ret = vhdx_creator_read(v->file, v->creator, sizeof(v->creator), err);

	if (!ret)
		ret = vhdx_slots_read(v->file, &v->headers, err);
	if (!ret && v->is_writable)
		ret = check_numbers(v, err);
	if (!ret)
		ret = open_log(v, err);
	if (!ret)
		ret = vd_io_length(v->io, &len, err);
	if (!ret)
		ret = (v->is_writable ? vhdx_regions_read : vhdx_regions_look)(
		    v->io, &v->headers.slot[v->headers.current], &v->regions, err);
	if (!ret)
		ret = vhdx_params_read(v->io, &v->regions, &v->params, err);
	if (ret)
		return ret;
	atomic_store(&v->file_len, len);
	v->space.opened_mib = vd_div_up(len, VD_MIB);
	vhdx_geometry_init(&v->geo, &v->params);
	v->is_fixed = v->params.leave_allocated && !v->params.has_parent;
	v->structures_end = structures_end(v);
	atomic_store(&v->metadata_place, vhdx_region_place(&v->regions.metadata));
	ret = check_bat(v, err);
	if (!ret && v->is_writable)
		ret = check_writable(v, err);
	if (!ret)
		ret = vhdx_cache_init(v, how->cache_bytes, err);
	if (!ret && v->is_writable)
		ret = vhdx_commit_init(v, err);
	return ret;
}

static int open_vhdx(void **state, struct vd_io *io, const struct vd_format_open *how,
		     struct vd_error *err)
{
	struct vhdx *v = vd_malloc_aligned(64, sizeof(*v));
	int ret;

	if (!v)
		return vd_no_memory(err, sizeof(*v), "an open VHDX");
	memset(v, 0, sizeof(*v));
	v->file = vd_io_ref(io);
	v->io = v->file;
	v->is_writable = how->flags & VD_OPEN_WRITE;
	pthread_mutex_init(&v->map_lock, NULL);
	vd_cond_init(&v->map_cond);
	pthread_mutex_init(&v->commit.lock, NULL);
	vd_cond_init(&v->commit.cond);
	pthread_mutex_init(&v->session.lock, NULL);
	vhdx_move_init(v);
	ret = vhdx_items_init(v, err);
	if (!ret)
		ret = open_inner(v, how, err);
	if (ret) {
		free_all(v);
		return ret;
	}
	*state = v;
	return 0;
}

static int close_vhdx(void *state, struct vd_error *err)
{
	struct vhdx *v = state;
	int ret = v->is_writable ? vhdx_commit_close(v, err) : 0;

	free_all(v);
	return ret;
}

static int flush(void *state, struct vd_error *err)
{
	struct vhdx *v = state;

	return v->is_writable ? vhdx_commit(v, err) : 0;
}

static void get_info(void *state, struct vd_disk_info *info)
{
	const struct vhdx *v = state;
	const struct vhdx_header *header = &v->headers.slot[v->headers.current];

	info->format = vhdx_format_ops.name;
	info->type = v->params.has_parent ? VD_TYPE_DIFFERENCING
		     : v->is_fixed        ? VD_TYPE_FIXED
					  : VD_TYPE_DYNAMIC;
	info->virtual_size = v->params.virtual_size;
	info->block_size = v->params.block_size;
	info->logical_sector_size = v->params.logical_sector_size;
	info->physical_sector_size = v->params.physical_sector_size;
	memcpy(info->disk_id, v->params.disk_id.b, 16);
	memcpy(info->data_write_id, header->data_write_id.b, 16);
	memcpy(info->file_write_id, header->file_write_id.b, 16);
	info->has_parent = v->params.has_parent;
	info->has_dirty_log = v->had_dirty_log;
	info->is_read_only = !v->is_writable;
	memcpy(info->creator, v->creator, sizeof(info->creator));
	info->n_bytes_beyond_end = v->bytes_beyond_end;
	info->n_unknown_items = v->params.n_unknown;
	info->n_unknown_regions = v->regions.n_unknown;
}

static void get_stats(void *state, struct vd_disk_stats *stats)
{
	struct vhdx *v = state;
	struct vd_io_stats io;

	vd_io_get_stats(v->file, &io);
	stats->n_syncs = io.n_syncs;
	stats->n_commits = atomic_load(&v->commit.n_commits);
	stats->n_log_bytes = atomic_load(&v->commit.n_log_bytes);
	stats->n_log_laps = atomic_load(&v->commit.n_laps);
	stats->n_cache_misses = atomic_load(&v->cache.n_misses);
	stats->cache_bytes = atomic_load(&v->cache.n_bytes);
	pthread_mutex_lock(&v->map_lock);
	stats->n_blocks_allocated = v->n_allocated;
	stats->n_blocks_freed = v->n_freed;
	pthread_mutex_unlock(&v->map_lock);
}

static int get_parent_hint(void *state, struct vd_parent_hint *hint, struct vd_error *err)
{
	const struct vhdx *v = state;

	if (!v->params.parent)
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "the image has no parent");
	*hint = *v->params.parent;
	return 0;
}

/* Did the headers or the log move on since we read them? */
static int look_again(void *state, bool *has_changed, struct vd_error *err)
{
	const struct vhdx *v = state;
	const struct vhdx_header *before = &v->headers.slot[v->headers.current], *after;
	struct vhdx_headers headers;
	struct vhdx_replay *replay;
	uint64_t seq = 0;
	int ret = vhdx_slots_read(v->file, &headers, err);

	if (ret)
		return ret;
	after = &headers.slot[headers.current];
	*has_changed =
	    before->seq != after->seq || !vd_guid_is_equal(before->log_id, after->log_id);
	if (*has_changed || vd_guid_is_nil(after->log_id))
		return 0;
	ret = vhdx_replay_scan(&replay, v->file, after, err);
	if (ret)
		return ret;
	seq = vhdx_replay_seq(replay);
	vhdx_replay_free(replay);
	*has_changed = seq != v->log_seq_seen;
	return 0;
}

static bool probe(const uint8_t *head, size_t n_head, const uint8_t *tail, size_t n_tail)
{
	(void)tail;
	(void)n_tail;
	return n_head >= 8 && memcmp(head, "vhdxfile", 8) == 0;
}

const struct vd_format_ops vhdx_format_ops = {
    .size = sizeof(struct vd_format_ops),
    .name = VD_FORMAT_VHDX,
    .probe = probe,
    .open = open_vhdx,
    .close = close_vhdx,
    .create = vhdx_create,
    .get_info = get_info,
    .get_stats = get_stats,
    .get_parent_hint = get_parent_hint,
    .resolve = vhdx_resolve,
    .release = vhdx_release,
    .extent = vhdx_extent,
    .zero = vhdx_zero,
    .flush = flush,
    .count_blocks = vhdx_count_blocks,
    .look_again = look_again,
    .check = vhdx_check,
    .get_space = vhdx_get_space,
    .list_use = vhdx_list_use,
    .move = vhdx_move,
    .drop = vhdx_drop,
    .punch = vhdx_punch,
    .cut = vhdx_cut,
    .list_items = vhdx_list_items,
    .read_item = vhdx_read_item,
    .change_items = vhdx_change_items,
};
