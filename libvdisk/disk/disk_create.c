/* SPDX-License-Identifier: MIT */
/*
 * Making images: defaults, what the parent says, a file that gets its name when it is complete.
 */
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/message.h"
#include "disk/disk.h"
#include "format/formats.h"
#include "io/io.h"

#define DEFAULT_BLOCK    (2u << 20)
#define DEFAULT_PHYSICAL 4096u
#define DEFAULT_LOG      (8u << 20)
#define MAX_SIZE         (64 * VD_TIB)

/* What a creation knows besides its options. */
struct plan {
	const struct vd_format_ops *ops;
	struct vd_create_opts opts;
	struct vd_format_parent parent; /* if opts.parent */
	char *relative, *absolute;
	struct vd_disk *from; /* the parent, open until its items are copied */
	struct vd_item_change *items;
	struct source *sources; /* of the items */
};

/* One item of the parent, as what a new one is filled from. */
struct source {
	struct vd_disk *from;
	uint8_t id[16];
};

static void drop_plan(struct plan *plan)
{
	vd_disk_free(plan->from, NULL);
	vd_free(plan->items);
	vd_free(plan->sources);
	vd_free(plan->relative);
	vd_free(plan->absolute);
}

static int refuse(struct vd_error *err, const char *text)
{
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "%s", text);
}

static int take_opts(struct plan *plan, const struct vd_create_opts *opts, struct vd_error *err)
{
	struct vd_create_opts *own = &plan->opts;

	*own = (struct vd_create_opts)VD_CREATE_OPTS_INIT;
	if (!opts || opts->size < 2 * sizeof(uint32_t))
		return refuse(err, "struct vd_create_opts must start from VD_CREATE_OPTS_INIT");
	memcpy(own, opts, vd_min64(opts->size, sizeof(*own)));
	own->size = sizeof(*own);
	if (!own->format)
		own->format = VD_FORMAT_VHDX;
	plan->ops = vd_format_find(own->format);
	if (!plan->ops)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "format '%s' can't be made; vhdx and raw can", own->format);
	if (!own->type)
		own->type = own->parent ? VD_TYPE_DIFFERENCING : VD_TYPE_DYNAMIC;
	if (own->parent && own->type != VD_TYPE_DIFFERENCING)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "a %s disk has no parent; only a differencing one does",
				    vd_disk_type_name(own->type));
	if (!own->parent && own->type == VD_TYPE_DIFFERENCING)
		return refuse(err, "a differencing disk needs a parent");
	if (own->parent && !plan->ops->get_parent_hint)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "a %s image can't have a parent; use format vhdx",
				    plan->ops->name);
	return 0;
}

/* What can't be left out any more, filled in; raw has none of it. */
static void fill_defaults(struct plan *plan)
{
	struct vd_create_opts *opts = &plan->opts;
	const struct vd_format_parent *parent = opts->parent ? &plan->parent : NULL;

	if (parent && !opts->virtual_size)
		opts->virtual_size = parent->virtual_size;
	if (!strcmp(plan->ops->name, VD_FORMAT_RAW))
		return;
	if (!opts->logical_sector_size)
		opts->logical_sector_size = parent ? parent->logical_sector_size : 512;
	if (!opts->physical_sector_size)
		opts->physical_sector_size =
		    parent ? parent->physical_sector_size : DEFAULT_PHYSICAL;
	if (!opts->block_size)
		opts->block_size = parent ? parent->block_size : DEFAULT_BLOCK;
	if (!opts->log_size)
		opts->log_size = DEFAULT_LOG;
}

static int check_sector_size(uint32_t size, const char *which, struct vd_error *err)
{
	if (size == 0 || size == 512 || size == 4096)
		return 0;
	return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
			    "%s sectors of %u bytes; there are such of 512 and 4096", which, size);
}

static int check_opts(const struct plan *plan, struct vd_error *err)
{
	const struct vd_create_opts *opts = &plan->opts;
	uint32_t sector = opts->logical_sector_size ? opts->logical_sector_size : 512;
	int ret = check_sector_size(opts->logical_sector_size, "logical", err);

	if (!ret)
		ret = check_sector_size(opts->physical_sector_size, "physical", err);
	if (ret)
		return ret;
	if (opts->virtual_size % sector)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "a size of %llu bytes is not a multiple of the sector, %u",
				    (unsigned long long)opts->virtual_size, sector);
	if (!strcmp(plan->ops->name, VD_FORMAT_RAW)) {
		if (opts->logical_sector_size > 512 || opts->block_size || opts->log_size)
			return refuse(err, "a raw image has sectors of 512 bytes, no blocks and no "
					   "log: leave these sizes 0");
		return 0;
	}
	if (!opts->virtual_size || opts->virtual_size > MAX_SIZE)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "a size of %llu bytes; a disk has from one sector to 64 TiB",
				    (unsigned long long)opts->virtual_size);
	if (!vd_is_pow2(opts->block_size) || opts->block_size < VD_MIB ||
	    opts->block_size > 256 * VD_MIB)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "blocks of %u bytes; they are a power of two from 1 MiB to "
				    "256 MiB",
				    opts->block_size);
	if (opts->log_size % VD_MIB)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "a log of %u bytes is not a multiple of 1 MiB", opts->log_size);
	if (opts->parent && opts->logical_sector_size != plan->parent.logical_sector_size)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "logical sectors of %u bytes, but the parent has such of %u; "
				    "they must be equal",
				    opts->logical_sector_size, plan->parent.logical_sector_size);
	return 0;
}

static int copy_item(void *user, void *buf, uint32_t len, uint32_t offset, struct vd_error *err)
{
	const struct source *source = user;

	return vd_disk_read_item(source->from, source->id, buf, len, offset, err);
}

/* What belongs to the disk's content goes on in its children; what belongs to the file stays. */
static int take_items(struct plan *plan, struct vd_error *err)
{
	struct vd_item *items;
	size_t n;
	int ret;

	if (!plan->from->ops->list_items)
		return 0;
	ret = vd_disk_list_items(plan->from, &items, &n, err);
	if (ret || !n)
		return ret;
	plan->items = vd_calloc(n, sizeof(*plan->items));
	plan->sources = vd_calloc(n, sizeof(*plan->sources));
	if (!plan->items || !plan->sources)
		ret = vd_no_memory(err, n * sizeof(*plan->items), "the parent's metadata items");
	for (size_t i = 0; i < n && !ret; i++) {
		size_t at = plan->parent.n_items;

		if (!(items[i].flags & VD_ITEM_VIRTUAL_DISK))
			continue;
		plan->sources[at].from = plan->from;
		memcpy(plan->sources[at].id, items[i].id, sizeof(items[i].id));
		memcpy(plan->items[at].id, items[i].id, sizeof(items[i].id));
		plan->items[at].flags = VD_ITEM_USER | VD_ITEM_VIRTUAL_DISK;
		plan->items[at].length = items[i].length;
		plan->items[at].fill = copy_item;
		plan->items[at].user = &plan->sources[at];
		plan->parent.n_items++;
	}
	plan->parent.items = plan->items;
	vd_items_free(items);
	return ret;
}

/* Open the parent with its own chain, so that nobody builds on a broken one. */
static int read_parent(struct plan *plan, struct vd_error *err)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk;
	char real[PATH_MAX];
	int ret;

	opts.format = plan->ops->name;
	opts.parent_roots = plan->opts.parent_roots;
	opts.n_parent_roots = plan->opts.n_parent_roots;
	ret = vd_disk_open(&disk, plan->opts.parent, &opts, err);
	if (ret) {
		vd_error_prefix(err, ret, "parent %.200s", plan->opts.parent);
		return ret;
	}
	plan->parent.virtual_size = disk->size;
	plan->parent.logical_sector_size = disk->sector_size;
	plan->parent.physical_sector_size = disk->info.physical_sector_size;
	plan->parent.block_size = disk->info.block_size;
	memcpy(plan->parent.data_write_id, disk->info.data_write_id, 16);
	memcpy(plan->parent.disk_id, disk->info.disk_id, 16);
	plan->from = disk;
	ret = take_items(plan, err);
	if (ret)
		return ret;
	ret = -vd_place_real(plan->opts.parent, real);
	if (ret)
		return vd_error_set(err, vd_code_from_errno(ret), ret, VD_NO_OFFSET,
				    "parent %.200s: %s", plan->opts.parent, strerror(ret));
	plan->absolute = vd_strdup(real);
	if (!plan->absolute)
		return vd_no_memory(err, strlen(real) + 1, "a path");
	plan->parent.absolute_path = plan->absolute;
	plan->parent.relative_path = "";
	return 0;
}

/* How the new image, which will lie in `folder`, names its parent. */
static int name_parent(struct plan *plan, const char *folder, struct vd_error *err)
{
	char relative[1024];

	/* The locator separates folders by '\', so a name can't have one. */
	if (!vd_path_relative(folder, plan->absolute, relative, sizeof(relative) - 2) ||
	    strchr(relative, '\\'))
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "the way from %.150s to the parent %.150s is too long or has a "
				    "'\\': the image could not name its parent",
				    folder, plan->absolute);
	plan->relative = vd_strdup(relative);
	if (!plan->relative)
		return vd_no_memory(err, strlen(relative) + 1, "a path");
	plan->parent.relative_path = plan->relative;
	if (!vd_path_below(folder, plan->absolute))
		vd_message(
		    VD_MESSAGE_WARNING,
		    "the parent %s does not lie below the folder of the new image, %s: "
		    "opening it will need --parent-root %.*s",
		    plan->absolute, folder,
		    (int)vd_max64(1, (uint64_t)(strrchr(plan->absolute, '/') - plan->absolute)),
		    plan->absolute);
	return 0;
}

static int make_plan(struct plan *plan, const struct vd_create_opts *opts, const char *path,
		     struct vd_error *err)
{
	VD_AUTO_FREE char *folder = NULL;
	int ret = take_opts(plan, opts, err);

	if (!ret && plan->opts.parent)
		ret = read_parent(plan, err);
	if (ret)
		return ret;
	fill_defaults(plan);
	ret = check_opts(plan, err);
	if (ret || !plan->opts.parent || !path)
		return ret;
	ret = vd_path_folder(&folder, path, err);
	return ret ? ret : name_parent(plan, folder, err);
}

static int fill(const struct plan *plan, struct vd_io *io, struct vd_error *err)
{
	return plan->ops->create(io, &plan->opts, plan->opts.parent ? &plan->parent : NULL, err);
}

int vd_disk_create(const char *path, const struct vd_create_opts *opts, struct vd_error *err)
{
	struct plan plan = {0};
	struct vd_io_draft *draft = NULL;
	int ret = make_plan(&plan, opts, path, err);

	if (!ret)
		ret = vd_io_create_beside(&draft, path, 0, false, err);
	if (!ret)
		ret = fill(&plan, vd_io_draft_io(draft), err);
	if (ret)
		vd_io_discard(draft);
	else
		ret = vd_io_publish(draft, err);
	drop_plan(&plan);
	return ret;
}

int vd_disk_create_io(struct vd_io *io, const struct vd_create_opts *opts, struct vd_error *err)
{
	struct plan plan = {0};
	uint64_t length;
	int ret = vd_io_length(io, &length, err);

	if (!ret && length)
		ret = vd_error_set(err, VD_EEXIST, 0, VD_NO_OFFSET,
				   "the store for a new image holds %llu bytes already, it must be "
				   "empty",
				   (unsigned long long)length);
	if (!ret && opts && opts->size >= sizeof(*opts) && opts->parent && opts->parent[0] != '/')
		ret = refuse(err, "in a store without a path the parent must be named by an "
				  "absolute path");
	if (!ret)
		ret = make_plan(&plan, opts, NULL, err);
	if (!ret)
		ret = fill(&plan, io, err);
	if (!ret)
		ret = vd_io_sync(io, err);
	drop_plan(&plan);
	return ret;
}
