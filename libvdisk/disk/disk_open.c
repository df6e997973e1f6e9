/* SPDX-License-Identifier: MIT */
/* Opening and closing of images, and what they say of themselves. The chain is disk_chain.c. */
#include <limits.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "disk/disk.h"
#include "format/formats.h"

#define KNOWN_FLAGS                                                                                \
	(VD_OPEN_WRITE | VD_OPEN_LOOK | VD_OPEN_NO_PARENTS | VD_OPEN_DIRECT | VD_OPEN_NO_LOCK |    \
	 VD_OPEN_TRY_PARENTS | VD_OPEN_NO_SYNC)
#define LOOK_TRIES 10 /* with pauses of 1 ms, 2 ms ... 512 ms in between */

const char *vd_disk_type_name(enum vd_disk_type type)
{
	switch (type) {
	case VD_TYPE_FIXED:
		return "fixed";
	case VD_TYPE_DYNAMIC:
		return "dynamic";
	case VD_TYPE_DIFFERENCING:
		return "differencing";
	case VD_TYPE_UNKNOWN:
		break;
	}
	return "unknown";
}

int vd_open_opts_take(struct vd_open_opts *own, const struct vd_open_opts *opts,
		      struct vd_error *err)
{
	*own = (struct vd_open_opts)VD_OPEN_OPTS_INIT;
	if (opts && opts->size < 2 * sizeof(uint32_t))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "struct vd_open_opts says its size is %u: start from "
				    "VD_OPEN_OPTS_INIT",
				    opts->size);
	if (opts)
		memcpy(own, opts, vd_min64(opts->size, sizeof(*own)));
	own->size = sizeof(*own);
	if (own->flags & ~KNOWN_FLAGS)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "flags 0x%x of an opening are not known",
				    own->flags & ~KNOWN_FLAGS);
	if (own->flags & VD_OPEN_LOOK && own->flags & VD_OPEN_WRITE)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "VD_OPEN_LOOK takes no lock, so it can't go with "
				    "VD_OPEN_WRITE");
	if (own->flags & VD_OPEN_TRY_PARENTS && own->flags & VD_OPEN_WRITE)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "VD_OPEN_TRY_PARENTS is for looking, it can't go with "
				    "VD_OPEN_WRITE");
	if (!own->max_depth)
		own->max_depth = VD_DEFAULT_DEPTH;
	if (!own->cache_bytes)
		own->cache_bytes = VD_DEFAULT_CACHE;
	return 0;
}

int vd_disk_open_store(struct vd_io **out, const char *path, const struct vd_open_opts *opts,
		       struct vd_error *err)
{
	uint32_t flags = (opts->flags & VD_OPEN_WRITE ? VD_IO_WRITE : 0) |
			 (opts->flags & VD_OPEN_DIRECT ? VD_IO_DIRECT : 0) |
			 (opts->flags & VD_OPEN_NO_SYNC ? VD_IO_NO_SYNC : 0);

	return vd_io_open_file(out, path, flags, err);
}

int vd_disk_lock(struct vd_io *io, uint32_t flags, struct vd_error *err)
{
	if (flags & (VD_OPEN_LOOK | VD_OPEN_NO_LOCK))
		return 0;
	return vd_io_lock(io, flags & VD_OPEN_WRITE ? VD_IO_LOCK_EXCLUSIVE : VD_IO_LOCK_SHARED,
			  err);
}

int vd_disk_choose_format(const struct vd_format_ops **ops, struct vd_io *io, const char *told,
			  struct vd_error *err)
{
	const char *shown;
	int ret;

	if (told) {
		*ops = vd_format_find(told);
		if (!*ops)
			return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
					    "format '%s' is not supported; vhdx and raw are", told);
		if (!strcmp(told, VD_FORMAT_RAW))
			return 0;
	}
	ret = vd_format_probe(io, &shown, err);
	if (ret)
		return ret;
	if (told) {
		/* The format's own open says what is wrong if nothing is recognised. */
		if (!strcmp(shown, told) || !strcmp(shown, VD_FORMAT_RAW))
			return 0;
		return vd_error_set(err, VD_EINVAL, 0, 0,
				    "told to open it as %s, but its signature is that of %s", told,
				    shown);
	}
	*ops = vd_format_find(shown);
	if (!*ops)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, 0,
				    "this is a %s image, which is not supported; to take its bytes "
				    "as they are, say that it is raw (--source-format raw, format "
				    "\"raw\" of vd_open_opts)",
				    shown);
	return 0;
}

/* Which file it is, for finding cycles, and where it lies, for finding its parent. */
static int find_place(struct vd_disk *disk, const char *path, struct vd_error *err)
{
	char real[PATH_MAX];

	disk->identity = vd_place_identity(vd_io_descriptor(disk->io), NULL);
	disk->path = vd_strdup(path ? path : "");
	if (disk->path && path && !vd_place_real(path, real)) {
		char *slash = strrchr(real, '/');

		slash[slash == real] = '\0';
		disk->folder = vd_strdup(real);
		if (!disk->folder)
			return vd_no_memory(err, strlen(real) + 1, "a path");
	}
	return disk->path ? 0 : vd_no_memory(err, strlen(path ? path : "") + 1, "a path");
}

static void read_facts(struct vd_disk *disk, bool was_probed)
{
	struct vd_disk_info *info = &disk->info;

	info->size = sizeof(*info);
	disk->ops->get_info(disk->state, info);
	info->format = disk->ops->name;
	info->is_read_only = !(disk->flags & VD_OPEN_WRITE);
	info->was_probed = was_probed;
	disk->size = info->virtual_size;
	disk->sector_size = info->logical_sector_size;
	disk->is_writable = !info->is_read_only;
	disk->has_parent = info->has_parent;
}

int vd_disk_open_one(struct vd_disk **out, struct vd_io *io, const char *path,
		     const struct vd_open_opts *opts, struct vd_error *err)
{
	struct vd_format_open how = {
	    .flags = opts->flags, .cache_bytes = opts->cache_bytes, .was_probed = !opts->format};
	struct vd_disk *disk;
	int ret;

	if (opts->flags & VD_OPEN_WRITE && !vd_io_is_writable(io))
		return vd_error_set(err, VD_EROFS, 0, VD_NO_OFFSET,
				    "the store is read-only, the disk can't be opened for writing");
	disk = vd_malloc_aligned(_Alignof(struct vd_disk), sizeof(*disk));
	if (!disk)
		return vd_no_memory(err, sizeof(*disk), "a disk");
	memset(disk, 0, sizeof(*disk));
	pthread_mutex_init(&disk->edge_lock, NULL);
	pthread_mutex_init(&disk->announce_lock, NULL);
	vd_cond_init(&disk->announce_cond);
	disk->io = vd_io_ref(io);
	disk->flags = opts->flags;
	ret = find_place(disk, path, err);
	if (!ret)
		ret = vd_disk_lock(io, opts->flags, err);
	if (!ret)
		ret = vd_disk_choose_format(&disk->ops, io, opts->format, err);
	if (!ret)
		ret = disk->ops->open(&disk->state, io, &how, err);
	if (ret) {
		disk->ops = NULL;
		vd_disk_free(disk, NULL);
		return ret;
	}
	read_facts(disk, !opts->format);
	vd_disk_set_timeout(disk, opts->timeout_ms);
	*out = disk;
	return 0;
}

int vd_disk_free(struct vd_disk *disk, struct vd_error *err)
{
	int ret = 0;

	while (disk) {
		struct vd_disk *parent = disk->parent;

		if (disk->ops) {
			struct vd_error own = VD_ERROR_INIT;
			int failed = disk->ops->close(disk->state, &own);

			if (failed && !ret)
				ret = vd_error_set(err, failed, own.sys_errno, own.offset, "%s",
						   own.text);
		}
		vd_io_close(disk->io);
		vd_skip_free(disk);
		pthread_mutex_destroy(&disk->edge_lock);
		pthread_mutex_destroy(&disk->announce_lock);
		pthread_cond_destroy(&disk->announce_cond);
		vd_free(disk->path);
		vd_free(disk->folder);
		vd_free_aligned(disk);
		disk = parent;
	}
	return ret;
}

/* Has any image of the chain changed under us? Only those that look ask. */
static int look_again(struct vd_disk *disk, bool *has_changed, struct vd_error *err)
{
	*has_changed = false;
	for (; disk && !*has_changed; disk = disk->parent) {
		int ret = disk->ops->look_again
			      ? disk->ops->look_again(disk->state, has_changed, err)
			      : 0;

		if (ret)
			return ret;
	}
	return 0;
}

/** Parents that can't be opened are no failure, but a thing to be told. */
static int try_chain(struct vd_disk *disk, const struct vd_open_opts *opts, struct vd_error *err)
{
	int ret = vd_chain_open(disk, opts, &disk->parent_err);

	if (!ret)
		return 0;
	vd_disk_free(disk->parent, NULL);
	disk->parent = NULL;
	return ret == VD_ENOMEM
		   ? vd_error_set(err, ret, 0, VD_NO_OFFSET, "%s", disk->parent_err.text)
		   : 0;
}

int vd_disk_get_parent_error(const struct vd_disk *disk, struct vd_error *err)
{
	const struct vd_error *why = &disk->parent_err;

	return why->code
		   ? vd_error_set(err, why->code, why->sys_errno, why->offset, "%s", why->text)
		   : 0;
}

static int open_chain(struct vd_disk **out, struct vd_io *io, const char *path,
		      const struct vd_open_opts *opts, struct vd_error *err)
{
	struct vd_disk *disk = NULL;
	int ret = vd_disk_open_one(&disk, io, path, opts, err);

	if (!ret && opts->flags & VD_OPEN_TRY_PARENTS)
		ret = try_chain(disk, opts, err);
	else if (!ret)
		ret = vd_chain_open(disk, opts, err);
	if (ret) {
		vd_disk_free(disk, NULL);
		return ret;
	}
	*out = disk;
	return 0;
}

/* A program that writes needs time for its next step (QEMU names the log before it fills it, and
 * syncs in between). What nobody writes to doesn't get better by waiting. */
static bool worth_waiting(struct vd_io *io, int n_tries)
{
	struct timespec pause = {0, 1000000L << n_tries};
	char holder[128];

	vd_io_holder(io, holder, sizeof(holder));
	if (!holder[0])
		return n_tries < 4;
	nanosleep(&pause, NULL);
	return true;
}

/*
 * A look while another program writes may meet a header or a table half written. So what went
 * wrong is tried again too, and only an image that holds still is believed.
 */
static int open_look(struct vd_disk **out, struct vd_io *io, const char *path,
		     const struct vd_open_opts *opts, struct vd_error *err)
{
	char holder[128];
	int ret = 0;

	for (int i = 0; i < LOOK_TRIES; i++) {
		struct vd_disk *disk = NULL;
		bool has_changed = false;

		ret = open_chain(&disk, io, path, opts, err);
		if (ret && ret != VD_ECORRUPT)
			return ret;
		if (ret) {
			if (!worth_waiting(io, i))
				return ret;
			continue;
		}
		ret = look_again(disk, &has_changed, err);
		if (!ret && !has_changed) {
			*out = disk;
			return 0;
		}
		vd_disk_free(disk, NULL);
		/* The second look may be what meets the half-written log. */
		if (ret && (ret != VD_ECORRUPT || !worth_waiting(io, i)))
			return ret;
	}
	if (ret)
		return ret;
	vd_io_holder(io, holder, sizeof(holder));
	return vd_error_set(err, VD_EBUSY, 0, VD_NO_OFFSET,
			    "it changed each of the %d times it was looked at; %s is writing to it",
			    LOOK_TRIES, holder[0] ? holder : "another program");
}

static int open_any(struct vd_disk **out, struct vd_io *io, const char *path,
		    const struct vd_open_opts *opts, struct vd_error *err)
{
	return opts->flags & VD_OPEN_LOOK ? open_look(out, io, path, opts, err)
					  : open_chain(out, io, path, opts, err);
}

/* The timeout of the options holds for the opening too. */
static uint64_t begin_opening(const struct vd_open_opts *opts)
{
	uint64_t former = vd_deadline;

	if (opts->timeout_ms)
		vd_deadline = vd_now_ns() + (uint64_t)opts->timeout_ms * 1000000u;
	return former;
}

int vd_disk_open(struct vd_disk **out, const char *path, const struct vd_open_opts *opts,
		 struct vd_error *err)
{
	struct vd_open_opts own;
	struct vd_io *io;
	uint64_t former;
	int ret = vd_open_opts_take(&own, opts, err);

	if (ret)
		return ret;
	former = begin_opening(&own);
	ret = vd_disk_open_store(&io, path, &own, err);
	if (!ret) {
		ret = open_any(out, io, path, &own, err);
		vd_io_close(io);
	}
	vd_deadline = former;
	return ret;
}

int vd_disk_open_io(struct vd_disk **out, struct vd_io *io, const struct vd_open_opts *opts,
		    struct vd_error *err)
{
	struct vd_open_opts own;
	uint64_t former;
	int ret = vd_open_opts_take(&own, opts, err);

	if (ret)
		return ret;
	former = begin_opening(&own);
	ret = open_any(out, io, NULL, &own, err);
	vd_deadline = former;
	return ret;
}

int vd_disk_close(struct vd_disk *disk, struct vd_error *err)
{
	struct vd_call call = {0};
	int ret;

	if (!disk)
		return 0;
	vd_disk_tell(disk, VD_EVENT_CLOSING, 0, disk->size, NULL);
	/* A canceled handle is closed all the same: its stores still refuse. */
	(void)vd_call_begin(disk, &call, NULL);
	ret = vd_disk_free(disk, err);
	vd_call_end(&call);
	return ret;
}

void vd_disk_get_info(const struct vd_disk *disk, struct vd_disk_info *info)
{
	uint32_t size = info->size;

	memcpy(info, &disk->info, vd_min64(size, sizeof(*info)));
	info->size = size;
}

uint64_t vd_disk_size(const struct vd_disk *disk)
{
	return disk->size;
}

uint32_t vd_disk_sector_size(const struct vd_disk *disk)
{
	return disk->sector_size;
}

const struct vd_disk *vd_disk_parent(const struct vd_disk *disk)
{
	return disk->parent;
}

const char *vd_disk_path(const struct vd_disk *disk)
{
	return disk->path;
}

struct vd_io *vd_disk_io(const struct vd_disk *disk)
{
	return disk->io;
}

int vd_disk_get_parent_hint(const struct vd_disk *disk, struct vd_parent_hint *hint,
			    struct vd_error *err)
{
	if (!disk->has_parent || !disk->ops->get_parent_hint)
		return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET, "the image has no parent");
	return disk->ops->get_parent_hint(disk->state, hint, err);
}
