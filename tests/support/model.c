/* SPDX-License-Identifier: MIT */
/* The raw model of a disk: see model.h. One page holds the values of 1 MiB. */
#include "model.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vdisk/disk.h>

#include "stamp.h"

#define MIB     (1u << 20)
#define PER_MIB (MIB / STAMP_SECTOR)

struct mpage {
	uint64_t mib;
	uint32_t now[PER_MIB], flushed[PER_MIB];
};

struct change {
	uint64_t first, end; /* LBA */
	uint32_t generation;
	bool is_open, is_unsure;
	uint64_t done; /* it was the n-th to be complete; 0: it isn't */
};

struct model {
	uint64_t size, seed;
	size_t n_mib;
	struct mpage **table; /* by MiB; NULL: never touched, zero */
	struct mpage **pages; /* those that are there */
	size_t n_pages;
	struct change *changes; /* since the last flush, and unsure ones */
	size_t n_changes, cap_changes;
	uint64_t n_done;
};

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

struct model *model_new(uint64_t virtual_size, uint64_t seed)
{
	struct model *model = must(calloc(1, sizeof(*model)));

	model->size = virtual_size;
	model->seed = seed;
	model->n_mib = (size_t)((virtual_size + MIB - 1) / MIB);
	model->table = must(calloc(model->n_mib + 1, sizeof(*model->table)));
	return model;
}

static struct mpage *page_get(struct model *model, uint64_t mib)
{
	struct mpage *page = model->table[mib];

	if (page)
		return page;
	page = must(calloc(1, sizeof(*page)));
	page->mib = mib;
	model->table[mib] = page;
	if (!(model->n_pages & (model->n_pages + 1))) /* room for 2^k - 1 pages is used up */
		model->pages =
		    must(realloc(model->pages, (model->n_pages * 2 + 1) * sizeof(*model->pages)));
	model->pages[model->n_pages++] = page;
	return page;
}

struct model *model_copy(const struct model *model)
{
	struct model *copy = model_new(model->size, model->seed);

	for (size_t i = 0; i < model->n_pages; i++)
		*page_get(copy, model->pages[i]->mib) = *model->pages[i];
	copy->n_done = model->n_done;
	copy->n_changes = copy->cap_changes = model->n_changes;
	if (copy->n_changes) {
		copy->changes = must(malloc(copy->n_changes * sizeof(*copy->changes)));
		memcpy(copy->changes, model->changes, copy->n_changes * sizeof(*copy->changes));
	}
	return copy;
}

void model_free(struct model *model)
{
	if (!model)
		return;
	for (size_t i = 0; i < model->n_pages; i++)
		free(model->pages[i]);
	free(model->pages);
	free(model->table);
	free(model->changes);
	free(model);
}

uint64_t model_size(const struct model *model)
{
	return model->size;
}

uint64_t model_seed(const struct model *model)
{
	return model->seed;
}

static struct change *change_add(struct model *model, uint64_t offset, uint64_t len,
				 uint32_t generation)
{
	if (model->n_changes == model->cap_changes) {
		model->cap_changes = model->cap_changes ? model->cap_changes * 2 : 32;
		model->changes =
		    must(realloc(model->changes, model->cap_changes * sizeof(*model->changes)));
	}
	model->changes[model->n_changes] = (struct change){
	    offset / STAMP_SECTOR, (offset + len) / STAMP_SECTOR, generation, false, false, 0};
	return &model->changes[model->n_changes++];
}

void model_begin(struct model *model, uint64_t offset, uint64_t len, uint32_t generation)
{
	/* Touch the pages, so that a check looks at them. */
	for (uint64_t mib = offset / MIB; mib * MIB < offset + len; mib++)
		page_get(model, mib);
	change_add(model, offset, len, generation)->is_open = true;
}

void model_done(struct model *model, uint64_t offset, uint64_t len, uint32_t generation)
{
	for (size_t i = model->n_changes; i-- > 0;) {
		struct change *change = &model->changes[i];

		if (!change->is_open || change->first != offset / STAMP_SECTOR ||
		    change->generation != generation)
			continue;
		change->is_open = false;
		change->done = ++model->n_done;
		break;
	}
	for (uint64_t lba = offset / STAMP_SECTOR; lba < (offset + len) / STAMP_SECTOR; lba++)
		page_get(model, lba / PER_MIB)->now[lba % PER_MIB] = generation;
}

void model_write(struct model *model, uint64_t offset, uint64_t len, uint32_t generation)
{
	model_begin(model, offset, len, generation);
	model_done(model, offset, len, generation);
}

void model_unsure(struct model *model, uint64_t offset, uint64_t len, uint32_t generation)
{
	for (uint64_t mib = offset / MIB; mib * MIB < offset + len; mib++)
		page_get(model, mib);
	change_add(model, offset, len, generation)->is_unsure = true;
}

static bool is_settled(const struct change *change, uint64_t ticket)
{
	return !change->is_unsure && change->done && change->done <= ticket;
}

static void keep(struct change change, struct change **kept, size_t *n_kept)
{
	*kept = must(realloc(*kept, (*n_kept + 1) * sizeof(**kept)));
	(*kept)[(*n_kept)++] = change;
}

/* What later writes, from change `next` on, leave of an unsure one, is kept behind `kept`. */
static void keep_unsure(struct model *model, struct change unsure, size_t next, uint64_t ticket,
			struct change **kept, size_t *n_kept)
{
	for (; next < model->n_changes && unsure.first < unsure.end; next++) {
		const struct change *later = &model->changes[next];

		if (!is_settled(later, ticket) || later->first >= unsure.end ||
		    later->end <= unsure.first)
			continue;
		if (later->end < unsure.end) {
			struct change rest = unsure;

			rest.first = later->end;
			keep_unsure(model, rest, next + 1, ticket, kept, n_kept);
		}
		unsure.end = later->first > unsure.first ? later->first : unsure.first;
	}
	if (unsure.first < unsure.end)
		keep(unsure, kept, n_kept);
}

uint64_t model_flush_begin(const struct model *model)
{
	return model->n_done;
}

void model_flushed(struct model *model)
{
	model_flush_end(model, model->n_done);
}

void model_flush_end(struct model *model, uint64_t ticket)
{
	struct change *kept = NULL;
	size_t n_kept = 0;

	for (size_t i = 0; i < model->n_changes; i++) {
		const struct change *change = &model->changes[i];

		if (change->is_unsure) {
			keep_unsure(model, *change, i + 1, ticket, &kept, &n_kept);
			continue;
		}
		if (!is_settled(change, ticket)) {
			keep(*change, &kept, &n_kept);
			continue;
		}
		for (uint64_t lba = change->first; lba < change->end; lba++) {
			struct mpage *page = page_get(model, lba / PER_MIB);

			page->flushed[lba % PER_MIB] = change->generation;
		}
	}
	free(model->changes);
	model->changes = kept;
	model->n_changes = model->cap_changes = n_kept;
}

uint32_t model_now(const struct model *model, uint64_t lba)
{
	const struct mpage *page = model->table[lba / PER_MIB];

	return page ? page->now[lba % PER_MIB] : 0;
}

static uint32_t flushed_at(const struct model *model, uint64_t lba)
{
	const struct mpage *page = model->table[lba / PER_MIB];

	return page ? page->flushed[lba % PER_MIB] : 0;
}

/* Finds the value that the sector has among those allowed. */
static bool find_value(const struct model *model, enum model_moment moment, const void *sector,
		       uint64_t lba, uint32_t *value)
{
	*value = moment == MODEL_LIVE ? model_now(model, lba) : flushed_at(model, lba);
	if (stamp_is(sector, lba, *value, model->seed))
		return true;
	for (size_t i = model->n_changes; i-- > 0;) {
		const struct change *change = &model->changes[i];

		if (lba < change->first || lba >= change->end)
			continue;
		if (moment == MODEL_LIVE && !change->is_open && !change->is_unsure)
			return false; /* `now` is its value, and hides what came before */
		*value = change->generation;
		if (stamp_is(sector, lba, *value, model->seed))
			return true;
	}
	return false;
}

static void tell(const struct model *model, enum model_moment moment, const void *sector,
		 uint64_t lba, char *text, size_t size)
{
	size_t n;

	stamp_describe(sector, lba, text, size);
	n = strlen(text);
	snprintf(text + n, size - n, "; allowed: generation %" PRIu32 " (%s)",
		 moment == MODEL_LIVE ? model_now(model, lba) : flushed_at(model, lba),
		 moment == MODEL_LIVE ? "last written" : "flushed");
	for (size_t i = 0; i < model->n_changes; i++) {
		const struct change *change = &model->changes[i];

		if (lba < change->first || lba >= change->end ||
		    (moment == MODEL_LIVE && !change->is_open && !change->is_unsure))
			continue;
		n = strlen(text);
		snprintf(text + n, size - n, ", %" PRIu32 "%s", change->generation,
			 change->is_unsure ? "?" : "");
	}
	n = strlen(text);
	snprintf(text + n, size - n, "; seed %" PRIu64, model->seed);
}

bool model_allows(const struct model *model, enum model_moment moment, const void *buf, size_t len,
		  uint64_t offset, char *text, size_t size)
{
	for (size_t at = 0; at < len; at += STAMP_SECTOR) {
		const uint8_t *sector = (const uint8_t *)buf + at;
		uint64_t lba = (offset + at) / STAMP_SECTOR;
		uint32_t value;

		if (find_value(model, moment, sector, lba, &value))
			continue;
		tell(model, moment, sector, lba, text, size);
		return false;
	}
	return true;
}

/* Where the bytes to check come from. */
struct source {
	struct vd_disk *disk;
	int fd;
	struct vd_error err;
};

static int source_read(struct source *source, void *buf, size_t len, uint64_t offset)
{
	if (source->disk)
		return vd_disk_read(source->disk, buf, len, offset, &source->err);
	if (pread(source->fd, buf, len, (off_t)offset) == (ssize_t)len)
		return 0;
	return vd_error_set(&source->err, VD_EIO, 0, offset, "short read of the raw file");
}

/* [start, limit): the first stretch that may hold data, or *first == limit. */
static int source_data(struct source *source, uint64_t start, uint64_t limit, uint64_t *first,
		       uint64_t *end)
{
	off_t data;

	while (source->disk && start < limit) {
		struct vd_extent extent;
		int rc = vd_disk_map(source->disk, start, limit - start, &extent, &source->err);

		if (rc < 0)
			return rc;
		if (extent.start != start || !extent.length || extent.length > limit - start)
			return vd_error_set(&source->err, VD_EINVAL, 0, start,
					    "vd_disk_map answers [%" PRIu64 ", +%" PRIu64
					    ") when asked for [%" PRIu64 ", +%" PRIu64 ")",
					    extent.start, extent.length, start, limit - start);
		*first = start;
		*end = start + extent.length;
		if (extent.state == VD_STATE_DATA)
			return 0;
		start += extent.length;
	}
	*first = *end = limit;
	if (source->disk || start >= limit)
		return 0;
	data = lseek(source->fd, (off_t)start, SEEK_DATA);
	if (data < 0 || (uint64_t)data >= limit)
		return 0;
	*first = (uint64_t)data;
	*end = (uint64_t)lseek(source->fd, data, SEEK_HOLE);
	if (*end > limit)
		*end = limit;
	return 0;
}

static bool check_range(const struct model *model, enum model_moment moment, struct source *source,
			uint64_t offset, uint64_t end, uint8_t *buf, char *text, size_t size)
{
	for (; offset < end; offset += MIB) {
		size_t n = end - offset < MIB ? (size_t)(end - offset) : MIB;

		if (source_read(source, buf, n, offset) < 0) {
			snprintf(text, size, "read of %zu bytes at %" PRIu64 ": %s", n, offset,
				 source->err.text);
			return false;
		}
		if (!model_allows(model, moment, buf, n, offset, text, size))
			return false;
	}
	return true;
}

static bool check_source(const struct model *model, enum model_moment moment, struct source *source,
			 char *text, size_t size)
{
	uint8_t *buf = must(malloc(MIB));
	uint64_t first = 0, end = 0;
	bool ok = true;

	for (size_t i = 0; ok && i < model->n_pages; i++) {
		uint64_t offset = model->pages[i]->mib * MIB;

		end = offset + MIB < model->size ? offset + MIB : model->size;
		ok = check_range(model, moment, source, offset, end, buf, text, size);
	}
	for (uint64_t at = 0; ok && at < model->size; at = end) {
		if (source_data(source, at, model->size, &first, &end) < 0) {
			snprintf(text, size, "map at %" PRIu64 ": %s", at, source->err.text);
			ok = false;
		}
		for (uint64_t p = first; ok && p < end; p = (p / MIB + 1) * MIB) {
			uint64_t stop = (p / MIB + 1) * MIB < end ? (p / MIB + 1) * MIB : end;

			if (!model->table[p / MIB])
				ok = check_range(model, moment, source, p, stop, buf, text, size);
		}
	}
	free(buf);
	return ok;
}

bool model_check_disk(const struct model *model, enum model_moment moment, struct vd_disk *disk,
		      char *text, size_t size)
{
	struct source source = {.disk = disk, .fd = -1, .err = VD_ERROR_INIT};

	if (vd_disk_size(disk) != model->size) {
		snprintf(text, size, "the disk has %" PRIu64 " bytes, not %" PRIu64,
			 vd_disk_size(disk), model->size);
		return false;
	}
	return check_source(model, moment, &source, text, size);
}

bool model_check_raw(const struct model *model, enum model_moment moment, const char *path,
		     char *text, size_t size)
{
	struct source source = {.fd = open(path, O_RDONLY | O_CLOEXEC), .err = VD_ERROR_INIT};
	struct stat st;
	bool ok = false;

	if (source.fd < 0 || fstat(source.fd, &st) != 0)
		snprintf(text, size, "%s can't be opened", path);
	else if ((uint64_t)st.st_size != model->size)
		snprintf(text, size, "%s has %jd bytes, not %" PRIu64, path, (intmax_t)st.st_size,
			 model->size);
	else
		ok = check_source(model, moment, &source, text, size);
	if (source.fd >= 0)
		close(source.fd);
	return ok;
}

bool model_adopt(struct model *model, struct vd_disk *disk, char *text, size_t size)
{
	uint8_t *buf = must(malloc(MIB));
	bool ok = model_check_disk(model, MODEL_CRASH, disk, text, size);

	for (size_t i = 0; ok && i < model->n_pages; i++) {
		struct mpage *page = model->pages[i];
		uint64_t offset = page->mib * MIB;
		size_t n = model->size - offset < MIB ? (size_t)(model->size - offset) : MIB;

		ok = vd_disk_read(disk, buf, n, offset, NULL) == 0;
		for (size_t at = 0; ok && at < n; at += STAMP_SECTOR) {
			uint32_t value;

			ok = find_value(model, MODEL_CRASH, buf + at, (offset + at) / STAMP_SECTOR,
					&value);
			page->now[at / STAMP_SECTOR] = page->flushed[at / STAMP_SECTOR] = value;
		}
	}
	model->n_changes = 0;
	free(buf);
	return ok;
}

/* Words of zeros don't count, so that it doesn't matter which parts were touched. */
static uint64_t hash_sector(const uint64_t *sector, uint64_t offset)
{
	uint64_t hash = 0;

	if (stamp_is(sector, 0, 0, 0)) /* as most are: not word by word */
		return 0;
	for (size_t w = 0; w < STAMP_SECTOR / 8; w++)
		if (sector[w])
			hash +=
			    (sector[w] ^ (offset + 8 * w)) * 0x9e3779b97f4a7c15u ^ sector[w] >> 7;
	return hash;
}

static uint64_t hash_source(const struct model *model, struct source *source)
{
	uint64_t *buf = must(malloc(MIB)), hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < model->n_pages; i++) {
		uint64_t offset = model->pages[i]->mib * MIB;
		size_t n = model->size - offset < MIB ? (size_t)(model->size - offset) : MIB;

		if (source_read(source, buf, n, offset) < 0)
			hash ^= (uint64_t)i + 1;
		for (size_t at = 0; at < n; at += STAMP_SECTOR)
			hash += hash_sector(buf + at / 8, offset + at);
	}
	free(buf);
	return hash;
}

uint64_t model_hash_disk(const struct model *model, struct vd_disk *disk)
{
	struct source source = {.disk = disk, .fd = -1, .err = VD_ERROR_INIT};

	return hash_source(model, &source);
}

uint64_t model_hash_raw(const struct model *model, const char *path)
{
	struct source source = {.fd = open(path, O_RDONLY | O_CLOEXEC), .err = VD_ERROR_INIT};
	uint64_t hash = hash_source(model, &source);

	if (source.fd >= 0)
		close(source.fd);
	return hash;
}
