/* SPDX-License-Identifier: MIT */
/* The job "scrub": read all that is stored, at a bounded rate if asked, and tell what can't be
 * read. Changes nothing. Parameter: "max_rate", bytes a second. */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "job.h"

#define PIECE (1u << 20)

struct scrub {
	struct owner_job *job;
	struct vd_disk *disk;
	uint8_t *buf;
	uint64_t max_rate, n_read, n_bad;
	struct timespec begin;
};

static double seconds_since(const struct timespec *begin)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - begin->tv_sec) + (double)(now.tv_nsec - begin->tv_nsec) / 1e9;
}

static void hold_rate(const struct scrub *s)
{
	const struct timespec nap = {.tv_nsec = 20000000};

	while (s->max_rate && !owner_job_is_cancelled(s->job) &&
	       (double)s->n_read > (double)s->max_rate * seconds_since(&s->begin))
		nanosleep(&nap, NULL);
}

static void read_extent(struct scrub *s, uint64_t start, uint64_t length)
{
	for (uint64_t end = start + length; start < end && !owner_job_is_cancelled(s->job);) {
		size_t n = end - start < PIECE ? (size_t)(end - start) : PIECE;

		if (vd_disk_read(s->disk, s->buf, n, start, NULL))
			s->n_bad += n;
		s->n_read += n;
		start += n;
		owner_job_progress(s->job, start, vd_disk_size(s->disk), NULL);
		hold_rate(s);
	}
}

static int scrub_all(struct scrub *s, struct vd_error *err)
{
	uint64_t size = vd_disk_size(s->disk);
	struct vd_extent extent;

	for (uint64_t at = 0; at < size; at += extent.length) {
		int rc = vd_disk_map(s->disk, at, size - at, &extent, err);

		if (!rc && owner_job_is_cancelled(s->job))
			rc = vd_error_set(err, VD_ECANCELED, 0, VD_NO_OFFSET, "cancelled");
		if (rc)
			return rc;
		if (extent.state == VD_STATE_DATA)
			read_extent(s, at, extent.length);
		owner_job_progress(s->job, at + extent.length, size, NULL);
	}
	return owner_job_is_cancelled(s->job)
		   ? vd_error_set(err, VD_ECANCELED, 0, VD_NO_OFFSET, "cancelled")
		   : 0;
}

static int run(struct owner_job *job, struct vd_error *err)
{
	json_int_t rate = json_integer_value(json_object_get(owner_job_params(job), "max_rate"));
	struct scrub s = {.job = job, .disk = owner_disk(owner_job_owner(job))};
	int rc;

	s.max_rate = rate > 0 ? (uint64_t)rate : 0;
	s.buf = malloc(PIECE);
	if (!s.buf)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	clock_gettime(CLOCK_MONOTONIC, &s.begin);
	owner_job_progress(job, 0, vd_disk_size(s.disk), "reading");
	rc = scrub_all(&s, err);
	free(s.buf);
	owner_job_result(job, "bytes_read", json_integer((json_int_t)s.n_read));
	owner_job_result(job, "bytes_unreadable", json_integer((json_int_t)s.n_bad));
	if (!rc && s.n_bad)
		rc = vd_error_set(err, VD_EIO, 0, VD_NO_OFFSET, "%" PRIu64 " bytes can't be read",
				  s.n_bad);
	return rc;
}

const struct owner_job_ops job_scrub = {.name = "scrub", .needs_writing = false, .run = run};
