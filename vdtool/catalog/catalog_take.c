/* SPDX-License-Identifier: MIT */
/* The second half of a sync: what was read into the catalog, what has vanished out of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "catalog_sync.h"
#include "output.h"
#include "tempfile.h"

#define ATTEMPTS 3
#define TICK     20000000   /* ns: two of the kernel's, in which a file's times may stand still */
#define SECOND   1000000000 /* and where a file system keeps seconds, two of these */

/** Could a later change have left the times as they are? */
static bool is_unsettled(const struct catalog_reading *reading)
{
	const struct catalog_stamp *stamps[] = {&reading->key.image, &reading->key.sidecar};
	bool is = false;

	for (size_t i = 0; i < (reading->key.has_sidecar ? 2u : 1u); i++) {
		const struct catalog_stamp *s = stamps[i];
		int64_t last = s->mtime > s->ctime ? s->mtime : s->ctime;
		bool is_coarse = s->mtime % SECOND == 0 && s->ctime % SECOND == 0;

		is |= last >= reading->started - (is_coarse ? 2 * (int64_t)SECOND : TICK);
	}
	return is;
}

/** What isn't said of the image but of the moment: it is tried again by the next sync. */
static bool is_passing(int code)
{
	return code == VD_EIO || code == VD_ETIMEDOUT || code == VD_EBUSY || code == VD_ENOSPC;
}

static int put(struct syncing *s, struct catalog_image *image, const struct vd_fact_run *runs,
	       size_t n_runs, const struct catalog_pack *parts)
{
	struct catalog_image known;
	int rc = s->store->ops->find_path(s->store, image->path, &known, &s->err);

	if (rc < 0)
		return rc;
	if (rc)
		s->counts.n_changed++;
	else
		s->counts.n_new++;
	s->counts.n_unreadable += image->code != 0;
	rc = s->store->ops->put(s->store, image, runs, n_runs, parts, &s->err);
	if (!rc)
		rc = s->store->ops->find_path(s->store, image->path, &known, &s->err);
	if (rc == 1 && !catalog_bits_set(&s->seen, known.id))
		return vd_error_set(&s->err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	return rc < 0 ? rc : 0;
}

static int put_unreadable(struct syncing *s, const struct catalog_reading *reading)
{
	struct catalog_image image = {.path = reading->path,
				      .key = reading->key,
				      .folder = reading->folder,
				      .code = reading->code,
				      .error = reading->err.text,
				      .is_unsettled =
					  is_unsettled(reading) || is_passing(reading->code)};

	tool_progress_clear(&s->progress);
	tool_fail(reading->path, &reading->err);
	return put(s, &image, NULL, 0, NULL);
}

/** Its file index goes into the catalog first, which takes its facts away; they are read anew. */
static int put_read(struct syncing *s, struct catalog_reading *reading, bool *is_ours)
{
	struct catalog_indexing indexing = {.store = s->store};
	struct catalog_image image = {.path = reading->path,
				      .key = reading->key,
				      .folder = reading->folder,
				      .is_unsettled = is_unsettled(reading)};
	struct vd_meta *meta = vd_image_meta(reading->image);
	struct vd_error err = VD_ERROR_INIT;
	struct catalog_key now;
	int rc = 0;

	if (reading->has_files) {
		image.files = catalog_index_files(&indexing, meta, &err);
		if (image.files == VD_ENOMEM || indexing.has_failed) {
			s->err = err;
			rc = image.files;
		}
		if (!rc)
			rc = vd_meta_get_facts(meta, false, &reading->runs[0].facts,
					       &reading->runs[0].n, &s->err);
	}
	/* A writer may have come between the look at its times and the end of reading. */
	*is_ours =
	    sync_stat(reading->path, &now) == 0 && memcmp(&now, &reading->key, sizeof(now)) == 0;
	if (!rc && *is_ours)
		rc = put(s, &image, reading->runs, 2, reading->has_files ? &indexing.parts : NULL);
	free(indexing.parts.bytes);
	return rc;
}

/** Once more, with the times that it has now; false: it is gone, or never stands still. */
static bool try_again(struct syncing *s, struct catalog_reading *reading)
{
	catalog_reading_close(reading);
	if (++reading->attempt >= ATTEMPTS || sync_stat(reading->path, &reading->key) != 0)
		return false;
	catalog_reader_put(s->reader, reading);
	return true;
}

/** What is known of it stays, and the next sync tries again. */
static int leave(struct syncing *s, const struct catalog_reading *reading)
{
	struct catalog_image known;
	struct stat st;
	int rc;

	if (lstat(reading->path, &st) != 0)
		return 0; /* gone meanwhile */
	s->counts.n_in_motion++;
	tool_progress_clear(&s->progress);
	tool_note("%s: it changes while it is read; the next sync tries again", reading->path);
	rc = s->store->ops->find_path(s->store, reading->path, &known, &s->err);
	if (rc == 1)
		catalog_bits_set(&s->seen, known.id);
	return rc < 0 ? rc : 0;
}

/** One that has been read. `reading` is given back, or put again. */
static int take_one(struct syncing *s, struct catalog_reading *reading)
{
	bool is_ours = true, is_put = false;
	int rc = 0;

	if (reading->code == VD_ENOMEM) {
		s->err = reading->err;
		rc = VD_ENOMEM;
	} else if (reading->code == VD_ENOENT && reading->err.sys_errno == ENOENT) {
		is_put = false; /* gone meanwhile */
	} else if (sync_begin(s)) {
		rc = s->rc;
	} else if (reading->code) {
		rc = put_unreadable(s, reading);
	} else {
		rc = put_read(s, reading, &is_ours);
	}
	if (!rc && !is_ours)
		is_put = try_again(s, reading);
	if (!rc && !is_ours && !is_put)
		rc = leave(s, reading);
	if (!is_put)
		catalog_reading_free(reading);
	return rc;
}

int sync_take(struct syncing *s, bool all)
{
	bool waits = all || catalog_reader_is_full(s->reader);
	struct catalog_reading *reading;

	while (!s->rc && (reading = catalog_reader_take(s->reader, waits))) {
		s->rc = take_one(s, reading);
		if (!s->rc)
			sync_commit(s, false);
		waits = all;
		if (all && tool_stop_signal)
			break; /* what is being read needn't be waited for */
	}
	return s->rc;
}

/* ---- vanished ---- */

#define GONE_MAX 4096u /* in one go */

struct gone {
	struct syncing *s;
	int64_t ids[GONE_MAX];
	size_t n;
};

static bool is_below_problem(const struct syncing *s, const char *path)
{
	for (size_t i = 0; i < s->n_problems; i++) {
		if (catalog_is_below(path, s->problems[i]))
			return true;
	}
	return false;
}

/** Is its file system mounted? The nearest folder that is there must be where it was. */
static bool is_away(const struct catalog_image *image)
{
	char folder[4096];
	struct stat st;
	char *slash;

	if (!image->folder || strlen(image->path) >= sizeof(folder))
		return false;
	strcpy(folder, image->path);
	while ((slash = strrchr(folder, '/'))) {
		*slash = '\0';
		if (stat(*folder ? folder : "/", &st) == 0)
			return st.st_dev != image->folder;
		if (errno != ENOENT && errno != ENOTDIR)
			return true;
	}
	return false;
}

static int look_for_gone(void *user, const struct catalog_image *image, struct vd_error *err)
{
	struct gone *gone = user;
	struct syncing *s = gone->s;

	(void)err;
	if (image->id > s->last_id || catalog_bits_has(&s->seen, image->id) ||
	    is_below_problem(s, image->path))
		return 0;
	if (is_away(image)) {
		s->counts.n_away++;
		return catalog_bits_set(&s->seen, image->id) ? 0 : VD_ENOMEM;
	}
	gone->ids[gone->n++] = image->id;
	return gone->n == GONE_MAX;
}

static int drop_below(struct syncing *s, const char *folder, struct gone *gone)
{
	int rc;

	do {
		gone->n = 0;
		rc = s->store->ops->each_image(s->store, folder, look_for_gone, gone, &s->err);
		for (size_t i = 0; rc >= 0 && i < gone->n; i++) {
			rc = sync_begin(s);
			if (!rc)
				rc = s->store->ops->drop(s->store, gone->ids[i], &s->err);
			s->counts.n_vanished += !rc;
		}
		if (rc >= 0)
			rc = sync_commit(s, false);
	} while (!rc && gone->n && !tool_stop_signal);
	return rc;
}

int sync_drop_vanished(struct syncing *s)
{
	struct gone *gone = calloc(1, sizeof(*gone));
	int rc = 0;

	if (!gone)
		return vd_error_set(&s->err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	gone->s = s;
	for (size_t i = 0; !rc && i < s->n_roots; i++) {
		if (s->roots[i].path && !s->roots[i].is_lost)
			rc = drop_below(s, s->roots[i].path, gone);
	}
	free(gone);
	return rc;
}
