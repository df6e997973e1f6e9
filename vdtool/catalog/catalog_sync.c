/* SPDX-License-Identifier: MIT */
/*
 * Walking what is to be synced: each image is unchanged, moved, or has to be read. The caller's
 * thread walks and writes; others read images (catalog_reader.c).
 *
 * An image is unchanged if device, inode, size, mtime and ctime of it and of its sidecar are as
 * they were. Of one under a new path the ctime may differ, as renaming changes it, if its old path
 * has it no more. Where times are too coarse to tell (the file was changed within the last tick
 * before it was read), the image counts as unsettled and is read again.
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "catalog_sync.h"
#include "image.h"
#include "output.h"
#include "tempfile.h"
#include "walk.h"

#define STOPPED       1
#define BATCH_IMAGES  5000
#define BATCH_SECONDS 2.0

static int64_t nanoseconds(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static void take_stamp(const struct stat *st, struct catalog_stamp *stamp)
{
	stamp->device = st->st_dev;
	stamp->inode = st->st_ino;
	stamp->size = (uint64_t)st->st_size;
	stamp->mtime = nanoseconds(&st->st_mtim);
	stamp->ctime = nanoseconds(&st->st_ctim);
}

int sync_stat(const char *path, struct catalog_key *key)
{
	char beside[PATH_MAX + 16];
	struct stat st;

	memset(key, 0, sizeof(*key));
	if (lstat(path, &st) != 0)
		return errno;
	take_stamp(&st, &key->image);
	snprintf(beside, sizeof(beside), "%s.vdmeta", path);
	if (lstat(beside, &st) == 0 && S_ISREG(st.st_mode)) {
		key->has_sidecar = true;
		take_stamp(&st, &key->sidecar);
	}
	return 0;
}

static bool is_same(const struct catalog_stamp *a, const struct catalog_stamp *b, bool with_ctime)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->mtime == b->mtime && (!with_ctime || a->ctime == b->ctime);
}

static bool is_same_key(const struct catalog_key *a, const struct catalog_key *b, bool with_ctime)
{
	return is_same(&a->image, &b->image, with_ctime) && a->has_sidecar == b->has_sidecar &&
	       (!a->has_sidecar || is_same(&a->sidecar, &b->sidecar, with_ctime));
}

/* ---- batches ---- */

int sync_begin(struct syncing *s)
{
	int rc = 0;

	if (!s->is_in_batch)
		rc = s->store->ops->begin(s->store, &s->err);
	if (rc)
		return s->rc = rc;
	if (!s->is_in_batch)
		s->batch_since = tool_now();
	s->is_in_batch = true;
	s->n_in_batch++;
	return 0;
}

int sync_commit(struct syncing *s, bool now)
{
	if (!s->is_in_batch)
		return 0;
	if (!now && s->n_in_batch < BATCH_IMAGES && tool_now() - s->batch_since < BATCH_SECONDS)
		return 0;
	s->is_in_batch = false;
	s->n_in_batch = 0;
	return s->rc = s->store->ops->commit(s->store, &s->err);
}

/* ---- moved ---- */

struct moving {
	const struct walk_image *image;
	const struct catalog_key *key;
	int64_t id;
	unsigned n; /* looked at */
};

#define LINKS_MAX 16u /* a file with more names is read rather than looked for */

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/** Was it this one? Then it is at its old path no more. */
static int is_moved(void *user, const struct catalog_image *old, struct vd_error *err)
{
	struct moving *moving = user;
	struct stat st;

	(void)err;
	if (++moving->n > LINKS_MAX)
		return 1;
	if (old->code || old->is_unsettled || !is_same_key(&old->key, moving->key, false) ||
	    strcmp(old->path, moving->image->path) == 0)
		return 0;
	/* A sidecar names its image: under another name it may not fit any more. */
	if (old->key.has_sidecar && strcmp(name_of(old->path), name_of(moving->image->path)) != 0)
		return 0;
	if (lstat(old->path, &st) == 0 && st.st_ino == old->key.image.inode &&
	    st.st_dev == old->key.image.device)
		return 0; /* another name of the same file */
	moving->id = old->id;
	return 1;
}

/** 1: it has moved, and that is noted. It is looked for within a batch: what is found stays so
 *  until it is noted, whoever else syncs. */
static int take_moved(struct syncing *s, const struct walk_image *image,
		      const struct catalog_key *key, uint64_t folder)
{
	struct moving moving = {image, key, 0, 0};
	struct catalog_image now = {.path = image->path, .key = *key, .folder = folder}, replaced;
	int rc = sync_begin(s);

	if (!rc)
		rc = s->store->ops->find_inode(s->store, key->image.device, key->image.inode,
					       is_moved, &moving, &s->err);
	if (rc <= 0 || !moving.id)
		return rc < 0 ? rc : 0;
	now.id = moving.id;
	rc = s->store->ops->find_path(s->store, image->path, &replaced, &s->err);
	if (rc == 1)
		rc = s->store->ops->drop(s->store, replaced.id, &s->err);
	if (!rc)
		rc = s->store->ops->move(s->store, &now, &s->err);
	if (rc)
		return rc < 0 ? rc : 0;
	s->counts.n_moved++;
	if (!catalog_bits_set(&s->seen, moving.id))
		return vd_error_set(&s->err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	return 1;
}

/* ---- each image ---- */

/** The device of the folder of an image: images come folder by folder. */
static uint64_t folder_device(struct syncing *s, const char *path)
{
	size_t n = (size_t)(name_of(path) - path);
	struct stat st;

	if (n < sizeof(s->folder) && strncmp(s->folder, path, n) == 0 && !s->folder[n])
		return s->folder_device;
	if (n >= sizeof(s->folder))
		return 0;
	memcpy(s->folder, path, n);
	s->folder[n] = '\0';
	s->folder_device = stat(n ? s->folder : ".", &st) == 0 ? st.st_dev : 0;
	return s->folder_device;
}

static int have_read(struct syncing *s, const struct walk_image *image,
		     const struct catalog_key *key, uint64_t folder)
{
	struct catalog_reading *reading = calloc(1, sizeof(*reading));

	if (reading)
		reading->path = strdup(image->path);
	if (!reading || !reading->path) {
		free(reading);
		return vd_error_set(&s->err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	}
	reading->key = *key;
	reading->folder = folder;
	while (!s->rc && catalog_reader_is_full(s->reader))
		sync_take(s, false);
	catalog_reader_put(s->reader, reading);
	return s->rc;
}

static void show(struct syncing *s)
{
	const struct sync_counts *c = &s->counts;
	char text[96];

	if (s->progress.mode == PROGRESS_NONE)
		return;
	snprintf(text, sizeof(text), "%llu read", (unsigned long long)(c->n_new + c->n_changed));
	tool_progress_count(&s->progress, c->n_images, "images", text);
}

static int look_at_image(struct syncing *s, const struct walk_image *image)
{
	struct catalog_key key = {.has_sidecar = image->has_sidecar};
	struct catalog_image known;
	uint64_t folder;
	int rc;

	take_stamp(&image->st, &key.image);
	if (image->has_sidecar)
		take_stamp(&image->sidecar, &key.sidecar);
	rc = s->store->ops->find_path(s->store, image->path, &known, &s->err);
	if (rc < 0)
		return rc;
	/* Folders may overlap. */
	if (rc && s->root != s->roots && catalog_bits_has(&s->seen, known.id)) {
		s->counts.n_images--;
		return 0;
	}
	if (rc && !catalog_bits_set(&s->seen, known.id))
		return vd_error_set(&s->err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	if (rc && is_same_key(&known.key, &key, true) && !known.is_unsettled &&
	    !(known.code && s->args->is_set[OPT_RETRY])) {
		s->counts.n_unchanged++;
		s->counts.n_unreadable += known.code != 0;
		return 0;
	}
	folder = folder_device(s, image->path);
	if (!rc || known.key.image.inode != key.image.inode) {
		rc = take_moved(s, image, &key, folder);
		if (rc)
			return rc < 0 ? rc : 0;
	}
	return have_read(s, image, &key, folder);
}

static int on_image(void *user, const struct walk_image *image)
{
	struct syncing *s = user;

	if (tool_stop_signal)
		return STOPPED;
	s->counts.n_images++;
	s->root->n_images++;
	if (!s->rc)
		s->rc = look_at_image(s, image);
	if (!s->rc)
		sync_take(s, false);
	if (!s->rc)
		sync_commit(s, false);
	show(s);
	return s->rc ? STOPPED : 0;
}

static void on_problem(void *user, const char *path, int error)
{
	struct syncing *s = user;
	char **more = realloc(s->problems, (s->n_problems + 1) * sizeof(*more));

	s->counts.n_problems++;
	tool_progress_clear(&s->progress);
	tool_say(0, path, "can't be looked into: %s; what the catalog knows of it stays",
		 error == ELOOP ? "it lies within itself, or too many folders deep"
				: strerror(error));
	if (more) {
		s->problems = more;
		more[s->n_problems] = strdup(path);
	}
	if (more && more[s->n_problems])
		s->n_problems++;
	else
		s->root->is_lost = true; /* nothing below it is held for vanished */
	if (strcmp(path, s->root->path) == 0)
		s->root->is_lost = true;
}

/* ---- the whole ---- */

static int walk(struct syncing *s)
{
	struct walk_opts opts = {.stays_on_fs = s->args->is_set[OPT_ONE_FS],
				 .excludes = s->args->excludes,
				 .n_excludes = s->args->n_excludes};
	int rc = 0;

	for (size_t i = 0; !rc && i < s->n_roots; i++) {
		const char *path = s->roots[i].path;

		s->root = &s->roots[i];
		if (path)
			rc = walk_tree(&path, 1, &opts, on_image, on_problem, s);
		/* What it met is known before the next one, which may meet it again. */
		if (!rc && i + 1 < s->n_roots)
			rc = sync_take(s, true);
	}
	if (rc < 0 && !s->rc)
		s->rc = vd_error_set(&s->err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	if (!s->rc)
		sync_take(s, true);
	return s->rc ? s->rc : rc;
}

/** When what was synced; a folder that is new to the catalog, too. */
static int note_roots(struct syncing *s)
{
	int rc = sync_begin(s);

	for (size_t i = 0; !rc && i < s->n_roots; i++) {
		struct catalog_root root = {.path = s->roots[i].path, .synced = time(NULL)};

		if (!root.path || s->roots[i].is_lost)
			continue;
		root.is_complete = !tool_stop_signal && !s->n_problems;
		root.n_images = s->roots[i].n_images;
		rc = s->store->ops->put_root(s->store, &root, &s->err);
	}
	return s->rc = rc ? rc : sync_commit(s, true);
}

static int find_roots(struct syncing *s)
{
	int exit_code = TOOL_DONE;

	s->roots = calloc((size_t)s->args->n_operands, sizeof(*s->roots));
	if (!s->roots)
		return tool_say(TOOL_FAILED, NULL, "out of memory");
	for (int i = 0; i < s->args->n_operands; i++, s->n_roots++) {
		s->roots[i].path = realpath(s->args->operands[i], NULL);
		if (s->roots[i].path)
			continue;
		s->roots[i].is_lost = true;
		exit_code = tool_say(TOOL_FAILED, s->args->operands[i],
				     "%s; what the catalog knows of it stays", strerror(errno));
	}
	return exit_code;
}

static unsigned count_jobs(const struct tool_args *args)
{
	cpu_set_t set;

	if (args->is_set[OPT_JOBS])
		return (unsigned)args->number[OPT_JOBS];
	return sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

static void sync_free(struct syncing *s)
{
	tool_progress_end(&s->progress);
	catalog_reader_free(s->reader);
	catalog_bits_free(&s->seen);
	for (size_t i = 0; i < s->n_roots; i++)
		free(s->roots[i].path);
	free(s->roots);
	for (size_t i = 0; i < s->n_problems; i++)
		free(s->problems[i]);
	free(s->problems);
}

static int sync_all(struct syncing *s)
{
	int rc = s->store->ops->last_id(s->store, &s->last_id, &s->err);

	if (!rc)
		rc = catalog_reader_create(&s->reader, count_jobs(s->args), &s->err);
	if (!rc)
		rc = walk(s);
	/* After an interruption nobody knows what hasn't been met. */
	if (!rc && !tool_stop_signal)
		rc = sync_drop_vanished(s);
	if (rc >= 0)
		rc = note_roots(s);
	if (rc < 0 && s->is_in_batch)
		s->store->ops->rollback(s->store);
	return rc < 0 ? rc : 0;
}

int catalog_sync(const struct tool_args *args, struct catalog_store *store,
		 struct sync_counts *counts)
{
	struct syncing s = {.args = args, .store = store, .err = VD_ERROR_INIT};
	int exit_code = find_roots(&s), rc = 0;

	tool_progress_begin(&s.progress, args, "cataloguing", 0);
	if (s.roots)
		rc = sync_all(&s);
	tool_progress_end(&s.progress);
	if (rc)
		exit_code = tool_exit_worse(exit_code, tool_fail(args->text[OPT_CATALOG], &s.err));
	if (args->is_set[OPT_STRICT] && (s.counts.n_unreadable || s.counts.n_problems))
		exit_code = tool_exit_worse(exit_code, TOOL_FAILED);
	if (tool_stop_signal)
		exit_code = 128 + tool_stop_signal;
	*counts = s.counts;
	sync_free(&s);
	return exit_code;
}
