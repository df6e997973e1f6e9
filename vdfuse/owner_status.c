/* SPDX-License-Identifier: MIT */
/* What the owner tells about itself: info.json and the status. Keys as `vdtool inspect --json`. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <vdisk/sys/io.h>

#include "control.h"
#include "owner_own.h"

static void set_uuid(json_t *o, const char *key, const uint8_t id[16])
{
	char text[37], *p = text;
	bool is_there = false;

	for (int i = 0; i < 16; i++) {
		is_there |= id[i] != 0;
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*p++ = '-';
		p += snprintf(p, 3, "%02x", id[i]);
	}
	control_set_text(o, key, is_there ? text : NULL);
}

static void set_time(json_t *o, const char *key, int64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;
	char text[32];

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	control_set_text(o, key, text);
}

static json_t *describe_windows(struct owner *owner)
{
	json_t *list = json_array();
	struct owner_window *w;

	for (size_t i = 1; (w = owner_window_at(owner, i)); i++) {
		json_t *o = json_object();

		pthread_mutex_lock(&owner->lock);
		control_set_text(o, "name", w->name);
		control_set_number(o, "number", w->number);
		control_set_number(o, "start", w->start);
		control_set_number(o, "length", w->length);
		control_set_text(o, "filesystem", w->type[0] ? w->type : NULL);
		control_set_text(o, "label", w->label[0] ? w->label : NULL);
		pthread_mutex_unlock(&owner->lock);
		json_array_append_new(list, o);
	}
	return list;
}

json_t *owner_describe(struct owner *owner)
{
	struct vd_disk_info info = {.size = sizeof(info)};
	uint64_t length = 0, allocated = 0;
	json_t *o = json_object();

	vd_disk_get_info(owner->disk, &info);
	vd_io_length(vd_disk_io(owner->disk), &length, NULL);
	vd_io_allocated(vd_disk_io(owner->disk), &allocated, NULL);
	control_set_text(o, "path", owner->path);
	control_set_text(o, "mode", owner->is_writable ? "rw" : "ro");
	control_set_text(o, "format", info.format);
	control_set_text(o, "type", vd_disk_type_name(info.type));
	control_set_number(o, "virtual_size", info.virtual_size);
	control_set_number(o, "file_size", length);
	control_set_number(o, "allocated_size", allocated);
	control_set_number(o, "block_size", info.block_size);
	control_set_number(o, "logical_sector_size", info.logical_sector_size);
	control_set_number(o, "physical_sector_size", info.physical_sector_size);
	set_uuid(o, "disk_id", info.disk_id);
	control_set_text(o, "parent",
			 vd_disk_parent(owner->disk) ? vd_disk_path(vd_disk_parent(owner->disk))
						     : NULL);
	json_object_set_new(o, "dirty_log", json_boolean(info.has_dirty_log));
	json_object_set_new(o, "partitions", describe_windows(owner));
	pthread_mutex_lock(&owner->lock);
	control_set_text(o, "scheme", owner->scheme);
	control_set_text(o, "layout_problem",
			 owner->layout_problem[0] ? owner->layout_problem : NULL);
	pthread_mutex_unlock(&owner->lock);
	return o;
}

static json_t *describe_stats(struct owner *owner)
{
	struct vd_disk_stats s = {.size = sizeof(s)};
	json_t *o = json_object();

	vd_disk_get_stats(owner->disk, &s);
	control_set_number(o, "reads", s.n_reads);
	control_set_number(o, "bytes_read", s.bytes_read);
	control_set_number(o, "writes", s.n_writes);
	control_set_number(o, "bytes_written", s.bytes_written);
	control_set_number(o, "zeroes", s.n_zeroes);
	control_set_number(o, "discards", s.n_discards);
	control_set_number(o, "flushes", s.n_flushes);
	control_set_number(o, "commits", s.n_commits);
	control_set_number(o, "log_bytes", s.n_log_bytes);
	control_set_number(o, "syncs", s.n_syncs);
	control_set_number(o, "blocks_allocated", s.n_blocks_allocated);
	control_set_number(o, "blocks_freed", s.n_blocks_freed);
	control_set_number(o, "cache_misses", s.n_cache_misses);
	control_set_number(o, "cache_bytes", s.cache_bytes);
	return o;
}

#define RECENT_S 10

/* What guests have felt lately. */
static json_t *describe_latency(struct owner *owner)
{
	struct latency_sum sum;
	json_t *o = json_object();

	latency_recent(&owner->latency, latency_now_ns(), RECENT_S * UINT64_C(1000000000), &sum);
	control_set_number(o, "seconds", RECENT_S);
	control_set_number(o, "requests", sum.n_requests);
	if (sum.n_requests) {
		control_set_number(o, "p50_us", latency_quantile(&sum, 500) / 1000);
		control_set_number(o, "p99_us", latency_quantile(&sum, 990) / 1000);
	} else {
		json_object_set_new(o, "p50_us", json_null());
		json_object_set_new(o, "p99_us", json_null());
	}
	return o;
}

/* null: none has begun. */
static json_t *describe_generation(struct owner *owner)
{
	json_t *o = json_null();

	pthread_mutex_lock(&owner->lock);
	if (owner->has_generation) {
		o = json_object();
		set_uuid(o, "id", owner->generation_id);
		control_set_number(o, "bytes_written_to", vd_generation_written(owner->generation));
	}
	pthread_mutex_unlock(&owner->lock);
	return o;
}

json_t *owner_status(struct owner *owner)
{
	json_t *o = owner_describe(owner);

	control_set_text(o, "program", "vdfuse " VD_VERSION);
	control_set_number(o, "pid", (uint64_t)getpid());
	set_time(o, "since", owner->since);
	control_set_text(o, "door", owner->door.kind);
	control_set_text(o, "mount_point", owner->door.mount_point);
	json_object_set_new(o, "statistics", describe_stats(owner));
	json_object_set_new(o, "latency", describe_latency(owner));
	json_object_set_new(o, "generation", describe_generation(owner));
	json_object_set_new(o, "job", owner_job_status(owner));
	return o;
}
