/* SPDX-License-Identifier: MIT */
/* See compact_report.h. */
#include <stddef.h>
#include <string.h>

#include "compact_report.h"
#include "control.h"

static const struct {
	const char *key;
	size_t at;
} members[] = {
    {"file_before", offsetof(struct vd_compact_result, file_before)},
    {"file_after", offsetof(struct vd_compact_result, file_after)},
    {"file_least", offsetof(struct vd_compact_result, file_least)},
    {"allocated_before", offsetof(struct vd_compact_result, allocated_before)},
    {"allocated_after", offsetof(struct vd_compact_result, allocated_after)},
    {"dropped_hole", offsetof(struct vd_compact_result, dropped_hole)},
    {"dropped_zero", offsetof(struct vd_compact_result, dropped_zero)},
    {"dropped_anchor", offsetof(struct vd_compact_result, dropped_anchor)},
    {"freed_guest", offsetof(struct vd_compact_result, freed_guest)},
    {"punched", offsetof(struct vd_compact_result, punched)},
    {"moves_planned", offsetof(struct vd_compact_result, n_moves_planned)},
    {"moves", offsetof(struct vd_compact_result, n_moves)},
    {"bytes_copied", offsetof(struct vd_compact_result, bytes_copied)},
    {"bytes_shared", offsetof(struct vd_compact_result, bytes_shared)},
    {"copied_again", offsetof(struct vd_compact_result, n_recopied)},
    {"deferred", offsetof(struct vd_compact_result, n_deferred)},
    {"longest_hold_ns", offsetof(struct vd_compact_result, longest_hold_ns)},
    {"shared_extents", offsetof(struct vd_compact_result, shared_extents)},
    {"waited_ns", offsetof(struct vd_compact_result, waited_ns)},
};
#define N_MEMBERS (sizeof(members) / sizeof(members[0]))

enum vd_compact_level compact_level_find(const char *name)
{
	for (int level = VD_COMPACT_PUNCH; name && level <= VD_COMPACT_DEFRAG; level++)
		if (!strcmp(name, vd_compact_level_name((enum vd_compact_level)level)))
			return (enum vd_compact_level)level;
	return (enum vd_compact_level)0;
}

json_t *compact_params_new(const struct vd_compact_opts *opts)
{
	json_t *params = json_object();

	control_set_text(params, "level", vd_compact_level_name(opts->level));
	json_object_set_new(params, "zero_scan", json_boolean(opts->flags & VD_COMPACT_ZERO_SCAN));
	json_object_set_new(params, "dry_run", json_boolean(opts->flags & VD_COMPACT_DRY_RUN));
	control_set_number(params, "max_rate", opts->max_rate);
	control_set_number(params, "max_time", opts->max_time_s);
	control_set_number(params, "max_latency_us", opts->max_latency_us);
	return params;
}

static int wrong(const char *key, const char *want, struct vd_error *err)
{
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "compact: \"%s\" isn't %s", key, want);
}

static int read_flag(const json_t *params, const char *key, uint32_t flag, uint32_t *flags,
		     struct vd_error *err)
{
	const json_t *value = json_object_get(params, key);

	if (value && !json_is_boolean(value))
		return wrong(key, "true or false", err);
	if (value)
		*flags = json_is_true(value) ? *flags | flag : *flags & ~flag;
	return 0;
}

static int read_number(const json_t *params, const char *key, uint64_t max, uint64_t *number,
		       struct vd_error *err)
{
	const json_t *value = json_object_get(params, key);
	json_int_t n = json_integer_value(value);

	if (value && (!json_is_integer(value) || n < 0 || (uint64_t)n > max))
		return wrong(key, "a number that can be", err);
	if (value)
		*number = (uint64_t)n;
	return 0;
}

int compact_params_read(const json_t *params, struct vd_compact_opts *opts, struct vd_error *err)
{
	const json_t *level = json_object_get(params, "level");
	uint64_t seconds = opts->max_time_s;
	int rc = 0;

	if (level) {
		opts->level = compact_level_find(json_string_value(level));
		rc = opts->level ? 0 : wrong("level", "punch, pack or defrag", err);
	}
	/* Never here: the guest writes, so nobody may act on what its file systems call free. */
	if (!rc && json_is_true(json_object_get(params, "free_space")))
		rc = vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
				  "free space of file systems can only be looked for while nobody "
				  "has the image open");
	if (!rc)
		rc = read_flag(params, "zero_scan", VD_COMPACT_ZERO_SCAN, &opts->flags, err);
	if (!rc)
		rc = read_flag(params, "dry_run", VD_COMPACT_DRY_RUN, &opts->flags, err);
	if (!rc)
		rc = read_number(params, "max_rate", INT64_MAX, &opts->max_rate, err);
	if (!rc)
		rc = read_number(params, "max_time", UINT32_MAX, &seconds, err);
	if (!rc)
		rc = read_number(params, "max_latency_us", INT64_MAX, &opts->max_latency_us, err);
	opts->max_time_s = (uint32_t)seconds;
	return rc;
}

static uint64_t *member_of(struct vd_compact_result *result, size_t i)
{
	return (uint64_t *)(void *)((char *)result + members[i].at);
}

void compact_report_put(json_t *object, const struct vd_compact_result *result)
{
	struct vd_compact_result copy = *result;

	for (size_t i = 0; i < N_MEMBERS; i++)
		control_set_number(object, members[i].key, *member_of(&copy, i));
	json_object_set_new(object, "complete", json_boolean(result->is_complete));
}

void compact_report_get(const json_t *object, struct vd_compact_result *result)
{
	*result = (struct vd_compact_result){.size = sizeof(*result)};
	for (size_t i = 0; i < N_MEMBERS; i++) {
		const json_t *value = json_object_get(object, members[i].key);
		json_int_t n = json_integer_value(value);

		*member_of(result, i) = json_is_null(value) ? UINT64_MAX : n > 0 ? (uint64_t)n : 0;
	}
	result->is_complete = json_is_true(json_object_get(object, "complete"));
}

static void put_time(json_t *object, const char *key, uint64_t us)
{
	control_set_number(object, key, us ? us : UINT64_MAX);
}

void compact_guest_put(json_t *object, const struct compact_guest *guest)
{
	put_time(object, "guest_p99_before_us", guest->p99_before_us);
	put_time(object, "guest_p99_us", guest->p99_us);
}

static uint64_t get_time(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? (uint64_t)n : 0;
}

void compact_guest_get(const json_t *object, struct compact_guest *guest)
{
	guest->p99_before_us = get_time(object, "guest_p99_before_us");
	guest->p99_us = get_time(object, "guest_p99_us");
}
