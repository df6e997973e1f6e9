/* SPDX-License-Identifier: MIT */
/*
 * Headers and sessions: what is written before anything else is (I1), and how (I2). The session of
 * an opening begins with its first change; then both headers get a new FileWriteGuid, before the
 * first change that a guest can see also a new DataWriteGuid, and region tables that differ are
 * brought into line.
 */
#include <endian.h>
#include <string.h>

#include "base/alloc.h"
#include "base/sabotage.h"
#include "format/vhdx/vhdx.h"

int vhdx_headers_update(struct vhdx *v, const struct vhdx_header *want, struct vd_error *err)
{
	struct vhdx_commit *c = &v->commit;
	uint8_t *bytes = vd_malloc_aligned(VHDX_PAGE, VHDX_HEADER_SIZE);
	int ret = 0;

	if (!bytes)
		return vd_no_memory(err, VHDX_HEADER_SIZE, "a header");
	for (int i = 0; i < 2 && !ret; i++) {
		struct vhdx_header header = *want;
		int to = VD_SABOTAGED(I2_SLOT) ? c->slot : !c->slot;

		if (VD_SABOTAGED(I2_BOTH) && i)
			break;
		header.seq = c->header.seq + !VD_SABOTAGED(I2_SEQ);
		vhdx_header_encode(&header, bytes);
		c->is_half = true;
		ret = vd_io_write(v->file, bytes, VHDX_HEADER_SIZE, VHDX_HEADER_OFF(to), err);
		if (!ret && !(VD_SABOTAGED(I2_SYNC) && i == 0))
			ret = vhdx_file_sync(v, err);
		if (!ret) {
			c->slot = to;
			c->header = header;
			c->is_half = i == 0;
		}
	}
	vd_free_aligned(bytes);
	return ret;
}

/*
 * Bring both copies of the region table into line with the one that counts: their pages become
 * part of the next commit. All are held before the first is changed, so that no entry ever has
 * half a table.
 */
static int repair_regions(struct vhdx *v, struct vd_error *err)
{
	struct vhdx_txn txn = {{NULL}, 0};
	uint64_t *words;
	int ret = 0;

	if (!v->regions.differ && v->regions.is_valid[0] && v->regions.is_valid[1])
		return 0;
	words = vd_malloc(VHDX_REGIONS_SIZE);
	if (!words)
		return vd_no_memory(err, VHDX_REGIONS_SIZE, "the region table");
	vhdx_regions_encode(&v->regions, (uint8_t *)words);
	for (int i = 0; VD_SABOTAGED(REGION_DIRECT) && i < 2 && !ret; i++)
		ret = vd_io_write(v->file, words, VHDX_REGIONS_SIZE, VHDX_REGIONS_OFF(i), err);
	pthread_mutex_lock(&v->map_lock);
	for (uint32_t at = 0; at < 2 * VHDX_REGIONS_SIZE && !ret; at += VHDX_PAGE)
		ret = vhdx_txn_hold(v, &txn, VHDX_REGIONS_OFF(0) + at, err);
	for (uint32_t at = 0; at < 2 * VHDX_REGIONS_SIZE && !ret; at += 8) {
		uint64_t word = le64toh(words[at % VHDX_REGIONS_SIZE / 8]);

		if (VD_SABOTAGED(REGION_ONE) && at >= VHDX_REGIONS_SIZE)
			break;
		if (vhdx_txn_get(&txn, VHDX_REGIONS_OFF(0) + at) != word)
			vhdx_txn_set(v, &txn, VHDX_REGIONS_OFF(0) + at, word);
	}
	vhdx_txn_end(&txn);
	pthread_mutex_unlock(&v->map_lock);
	vd_free(words);
	/* No room in the cache: the table that counts is whole, the next opening tries again. */
	return ret == VHDX_NO_SLOT ? 0 : ret;
}

/* H1: the host has space for the largest entry that can be, at the start of the log. A write that
 * has been answered then never waits in memory for space on the host. */
static int reserve_log(struct vhdx *v, struct vd_error *err)
{
	const struct vhdx_header *header = &v->commit.header;
	uint64_t most = vhdx_entry_size(2 * (size_t)v->cache.max_dirty);

	if (VD_SABOTAGED(H1_LOG))
		return 0;
	return vd_io_allocate(v->file, header->log_off, vd_min64(most, header->log_len), err);
}

static int begin_session(struct vhdx *v, enum vhdx_session level, struct vd_error *err)
{
	struct vhdx_header want;
	int ret = vhdx_role_enter(v, err);

	if (ret)
		return ret;
	if (atomic_load(&v->session.level) == VHDX_SESSION_NONE)
		ret = reserve_log(v, err);
	if (ret) {
		vhdx_role_leave(v);
		return ret;
	}
	want = v->commit.header;
	if (atomic_load(&v->session.level) == VHDX_SESSION_NONE && !VD_SABOTAGED(I1_FILE_ID))
		want.file_write_id = vd_guid_random();
	if (level == VHDX_SESSION_DATA && !VD_SABOTAGED(I1_DATA_ID))
		want.data_write_id = vd_guid_random();
	ret = vhdx_headers_update(v, &want, err);
	if (!ret && !v->session.has_repaired)
		ret = repair_regions(v, err);
	if (!ret) {
		v->session.has_repaired = true;
		atomic_store_explicit(&v->session.level, (int)level, memory_order_release);
	}
	vhdx_role_leave(v);
	return ret;
}

int vhdx_session_begin_slow(struct vhdx *v, enum vhdx_session level, struct vd_error *err)
{
	int ret = 0;

	pthread_mutex_lock(&v->session.lock);
	if (atomic_load(&v->session.level) < (int)level)
		ret = begin_session(v, level, err);
	pthread_mutex_unlock(&v->session.lock);
	return ret;
}
