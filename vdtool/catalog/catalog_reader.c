/* SPDX-License-Identifier: MIT */
/* See catalog_reader.h. A ring: threads take the next one that waits, the caller the oldest that is
 * done. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "catalog_reader.h"

#define THREADS_MAX  64u
#define RING_LEN     256u
#define EACH         4u    /* images a thread that may be open */
#define TIMEOUT_MS   30000 /* for an image */
#define INDEX_RECORD ".vdisk/files"

struct slot {
	struct catalog_reading *reading;
	bool is_done;
};
struct catalog_reader {
	pthread_mutex_t lock;
	pthread_cond_t can_read, is_read;
	struct slot slots[RING_LEN];
	size_t room;
	uint64_t n_put, n_begun, n_taken; /* since the beginning */
	bool is_ended;
	pthread_t threads[THREADS_MAX];
	unsigned n_threads;
};

/* ---- one image ---- */

static bool has_index(struct vd_meta *meta)
{
	const struct vd_record *record;

	for (size_t i = 0; (record = vd_meta_record(meta, i)); i++) {
		if (record->type == VD_RECORD_ATTACHMENT && strcmp(record->name, INDEX_RECORD) == 0)
			return true;
	}
	return false;
}

static int gather(struct catalog_reading *reading, struct vd_error *err)
{
	struct vd_meta *meta = vd_image_meta(reading->image);
	struct vd_fact_run *runs = reading->runs;
	int rc = vd_meta_get_facts(meta, false, &runs[0].facts, &runs[0].n, err);

	/* Behind the facts: damage may have shown by then. */
	if (!rc)
		rc = vd_fact_set_create(&reading->file_facts, err);
	if (!rc)
		rc = vd_image_add_facts(vd_image_disk(reading->image), meta, reading->file_facts,
					err);
	if (rc)
		return rc;
	runs[1].facts = vd_fact_set_facts(reading->file_facts, &runs[1].n);
	reading->has_files = has_index(meta);
	return 0;
}

static void read_image(struct catalog_reading *reading)
{
	struct vd_open_opts disk = VD_OPEN_OPTS_INIT;
	struct vd_image_opts opts = VD_IMAGE_OPTS_INIT;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	reading->started = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
	reading->err = (struct vd_error)VD_ERROR_INIT;
	disk.flags = VD_OPEN_NO_PARENTS;
	disk.timeout_ms = TIMEOUT_MS;
	opts.disk = &disk;
	reading->code = vd_image_open(&reading->image, reading->path, VD_PURPOSE_SEARCH, NULL,
				      &opts, &reading->err);
	if (!reading->code)
		reading->code = gather(reading, &reading->err);
}

void catalog_reading_close(struct catalog_reading *reading)
{
	vd_fact_set_free(reading->file_facts);
	reading->file_facts = NULL;
	vd_image_close(reading->image, NULL);
	reading->image = NULL;
	memset(reading->runs, 0, sizeof(reading->runs));
}

void catalog_reading_free(struct catalog_reading *reading)
{
	if (!reading)
		return;
	catalog_reading_close(reading);
	free(reading->path);
	free(reading);
}

/* ---- the ring ---- */

static void *run_thread(void *arg)
{
	struct catalog_reader *reader = arg;

	pthread_mutex_lock(&reader->lock);
	while (!reader->is_ended) {
		struct slot *slot;

		if (reader->n_begun == reader->n_put) {
			pthread_cond_wait(&reader->can_read, &reader->lock);
			continue;
		}
		slot = &reader->slots[reader->n_begun++ % RING_LEN];
		pthread_mutex_unlock(&reader->lock);
		read_image(slot->reading);
		pthread_mutex_lock(&reader->lock);
		slot->is_done = true;
		pthread_cond_signal(&reader->is_read);
	}
	pthread_mutex_unlock(&reader->lock);
	return NULL;
}

int catalog_reader_create(struct catalog_reader **out, unsigned n_threads, struct vd_error *err)
{
	struct catalog_reader *reader = calloc(1, sizeof(*reader));

	*out = NULL;
	if (!reader)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	pthread_mutex_init(&reader->lock, NULL);
	pthread_cond_init(&reader->can_read, NULL);
	pthread_cond_init(&reader->is_read, NULL);
	if (n_threads > THREADS_MAX)
		n_threads = THREADS_MAX;
	while (reader->n_threads < n_threads &&
	       pthread_create(&reader->threads[reader->n_threads], NULL, run_thread, reader) == 0)
		reader->n_threads++;
	reader->room = (size_t)reader->n_threads * EACH;
	if (!reader->n_threads) {
		catalog_reader_free(reader);
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "no thread can be started");
	}
	*out = reader;
	return 0;
}

void catalog_reader_free(struct catalog_reader *reader)
{
	if (!reader)
		return;
	pthread_mutex_lock(&reader->lock);
	reader->is_ended = true;
	pthread_cond_broadcast(&reader->can_read);
	pthread_mutex_unlock(&reader->lock);
	for (unsigned i = 0; i < reader->n_threads; i++)
		pthread_join(reader->threads[i], NULL);
	for (; reader->n_taken < reader->n_put; reader->n_taken++)
		catalog_reading_free(reader->slots[reader->n_taken % RING_LEN].reading);
	pthread_mutex_destroy(&reader->lock);
	pthread_cond_destroy(&reader->can_read);
	pthread_cond_destroy(&reader->is_read);
	free(reader);
}

bool catalog_reader_is_full(const struct catalog_reader *reader)
{
	return reader->n_put - reader->n_taken >= reader->room;
}

bool catalog_reader_is_empty(const struct catalog_reader *reader)
{
	return reader->n_put == reader->n_taken;
}

void catalog_reader_put(struct catalog_reader *reader, struct catalog_reading *reading)
{
	pthread_mutex_lock(&reader->lock);
	reader->slots[reader->n_put++ % RING_LEN] = (struct slot){reading, false};
	pthread_cond_signal(&reader->can_read);
	pthread_mutex_unlock(&reader->lock);
}

struct catalog_reading *catalog_reader_take(struct catalog_reader *reader, bool waits)
{
	struct catalog_reading *reading = NULL;
	struct slot *slot;

	if (catalog_reader_is_empty(reader))
		return NULL;
	pthread_mutex_lock(&reader->lock);
	slot = &reader->slots[reader->n_taken % RING_LEN];
	while (waits && !slot->is_done)
		pthread_cond_wait(&reader->is_read, &reader->lock);
	if (slot->is_done) {
		reading = slot->reading;
		slot->reading = NULL;
		reader->n_taken++;
	}
	pthread_mutex_unlock(&reader->lock);
	return reading;
}
