/* SPDX-License-Identifier: MIT */
/* Opening and closing; see owner.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vdisk/sys/io.h>

#include "owner_own.h"

static int open_image(struct owner *owner, const struct owner_opts *opts, struct vd_error *err)
{
	struct vd_open_opts disk_opts = VD_OPEN_OPTS_INIT;
	struct vd_image_opts image_opts = VD_IMAGE_OPTS_INIT;
	int rc;

	disk_opts.format = opts->format;
	disk_opts.parent_roots = opts->parent_roots;
	disk_opts.n_parent_roots = opts->n_parent_roots;
	image_opts.disk = &disk_opts;
	image_opts.sidecar_dir = opts->sidecar_dir;
	image_opts.tool = "vdfuse " VD_VERSION;
	image_opts.operation = "mount";
	image_opts.override_reason = opts->override_reason;
	rc = owner_policy_open(owner, opts->is_writable ? VD_PURPOSE_MOUNT_RW : VD_PURPOSE_MOUNT_RO,
			       &image_opts, err);
	if (!rc)
		owner->disk = vd_image_disk(owner->image);
	return rc;
}

static int make(struct owner **out, struct vd_error *err)
{
	struct owner *owner = calloc(1, sizeof(*owner));
	pthread_condattr_t attr;

	if (!owner)
		return vd_error_set(err, VD_ENOMEM, 0, VD_NO_OFFSET, "out of memory");
	pthread_mutex_init(&owner->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&owner->changed, &attr);
	pthread_condattr_destroy(&attr);
	*out = owner;
	return 0;
}

static void unmake(struct owner *owner)
{
	vd_generation_free(owner->generation);
	owner_windows_free(owner);
	pthread_cond_destroy(&owner->changed);
	pthread_mutex_destroy(&owner->lock);
	free(owner->policy_dir);
	free(owner->path);
	free(owner);
}

int owner_open(struct owner **out, const struct owner_opts *opts, struct vd_error *err)
{
	struct owner *owner = NULL;
	int rc = make(&owner, err);

	if (rc)
		return rc;
	owner->path = realpath(opts->path, NULL);
	owner->is_writable = opts->is_writable;
	owner->since = time(NULL);
	if (!owner->path)
		rc = vd_error_set(err, vd_code_from_errno(errno), errno, VD_NO_OFFSET, "%s",
				  strerror(errno));
	if (!rc)
		rc = owner_policy_init(owner, opts->policy_dir, err);
	if (!rc)
		rc = open_image(owner, opts, err);
	if (!rc && owner->is_writable) {
		rc = vd_generation_new(&owner->generation, owner->disk, err);
		if (rc)
			vd_image_close(owner->image, NULL);
	}
	if (rc) {
		unmake(owner);
		return rc;
	}
	if (owner_descriptor(owner) < 0 || fstat(owner_descriptor(owner), &owner->stat))
		(void)stat(owner->path, &owner->stat);
	owner_windows_init(owner);
	*out = owner;
	return 0;
}

int owner_close(struct owner *owner, struct vd_error *err)
{
	struct vd_error own = VD_ERROR_INIT;
	int rc;

	if (!owner)
		return 0;
	control_server_pause(owner->server);
	owner_jobs_end(owner);
	rc = vd_image_close(owner->image, &own);
	if (rc && err)
		*err = own;
	control_server_end(owner->server, rc, &own);
	unmake(owner);
	return rc;
}

struct vd_image *owner_image(struct owner *owner)
{
	return owner->image;
}

struct vd_disk *owner_disk(struct owner *owner)
{
	return owner->disk;
}

struct latency *owner_latency(struct owner *owner)
{
	return &owner->latency;
}

struct vd_generation *owner_generation(struct owner *owner)
{
	return owner->generation;
}

const char *owner_path(const struct owner *owner)
{
	return owner->path;
}

bool owner_is_writable(const struct owner *owner)
{
	return owner->is_writable;
}

const struct stat *owner_stat(const struct owner *owner)
{
	return &owner->stat;
}

int owner_descriptor(struct owner *owner)
{
	struct vd_io *io = vd_disk_io(owner->disk);

	return io ? vd_io_descriptor(io) : -1;
}

void owner_set_door(struct owner *owner, const struct owner_door *door)
{
	owner->door = *door;
}

void owner_pause(struct owner *owner)
{
	control_server_pause(owner->server);
}

int owner_listen(struct owner *owner, struct vd_error *err)
{
	return control_server_start(&owner->server, owner, err);
}
