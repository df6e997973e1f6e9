/* SPDX-License-Identifier: MIT */
/*
 * Opening the parents of a differencing image.
 *
 * What an image says about its parent is not to be trusted: each of its hints is made into an
 * absolute path by the letter, and opened only if that lies below one of the roots (the folder
 * of the image that was opened, and opts->parent_roots) and no link leads out of that root. What
 * is found must then have the DataWriteGuid that the child recorded. Hints are tried in the order
 * of MS-VHDX 2.6.2.6.3; the first that passes all of it is the parent.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/guid.h"
#include "disk/disk.h"

#define TEXT_ROOTS 160 /* of an error's text go to the roots */

struct root {
	int fd;
	char *real;  /* absolute, without links */
	char *named; /* absolute, as it was named: hints may name it so too */
};

struct chain {
	struct vd_disk *top;
	const struct vd_open_opts *opts;
	struct root *roots;
	size_t n_roots;
	uint32_t depth; /* of the image whose parent is looked for */
};

/* One hint of a child and how far it led. */
struct hint {
	const char *key, *value;
	char path[PATH_MAX]; /* absolute; "" if the hint is none of Linux */
};

static int root_error(const char *path, int why, struct vd_error *err)
{
	return vd_error_set(err, vd_code_from_errno(why), why, VD_NO_OFFSET,
			    "folder of parents %.300s: %s", path, strerror(why));
}

static int add_root(struct chain *chain, const char *path, struct vd_error *err)
{
	struct root *root = &chain->roots[chain->n_roots];
	char absolute[PATH_MAX], named[PATH_MAX], real[PATH_MAX];
	int why = -vd_place_real(path, real);

	if (!why)
		why = -vd_place_absolute(path, absolute, sizeof(absolute));
	if (!why && !vd_path_join("", absolute, named, sizeof(named)))
		why = ENAMETOOLONG;
	if (why)
		return root_error(path, why, err);
	root->fd = vd_place_open_folder(real);
	if (root->fd < 0)
		return root_error(path, -root->fd, err);
	chain->n_roots++;
	root->real = vd_strdup(real);
	root->named = vd_strdup(named);
	return root->real && root->named ? 0 : vd_no_memory(err, sizeof(real), "a path");
}

static void drop_roots(struct chain *chain)
{
	for (size_t i = 0; i < chain->n_roots; i++) {
		vd_cleanup_fd(&chain->roots[i].fd);
		vd_free(chain->roots[i].real);
		vd_free(chain->roots[i].named);
	}
	vd_free(chain->roots);
}

static int find_roots(struct chain *chain, struct vd_error *err)
{
	size_t n = chain->opts->n_parent_roots;
	int ret = 0;

	chain->roots = vd_calloc(n < SIZE_MAX ? n + 1 : n, sizeof(struct root));
	if (!chain->roots)
		return vd_no_memory(err, n * sizeof(struct root), "parent roots");
	if (chain->top->folder)
		ret = add_root(chain, chain->top->folder, err);
	for (size_t i = 0; !ret && i < n; i++)
		ret = add_root(chain, chain->opts->parent_roots[i], err);
	return ret;
}

/* "/a, /b and 3 more" */
static void list_roots(const struct chain *chain, char *text, size_t size)
{
	size_t n = 0;

	snprintf(text, size, "none");
	for (size_t i = 0; i < chain->n_roots; i++) {
		const char *real = chain->roots[i].real;

		if (n + strlen(real) + 24 > size) {
			snprintf(text + n, size - n, "%s%zu more", i ? " and " : "",
				 chain->n_roots - i);
			return;
		}
		n += (size_t)snprintf(text + n, size - n, "%s%s", i ? ", " : "", real);
	}
}

static int outside_error(const struct chain *chain, const struct hint *hint, const char *what,
			 struct vd_error *err)
{
	char roots[TEXT_ROOTS];

	list_roots(chain, roots, sizeof(roots));
	return vd_error_set(err, VD_EDENIED, 0, VD_NO_OFFSET,
			    "the parent %.150s (%s) %s the folders that parents may be opened in "
			    "(%s); allow its folder with --parent-root DIR (parent_roots of "
			    "vd_open_opts)",
			    hint->path, hint->key, what, roots);
}

/* A descriptor of the file that the hint's path names, below one of the roots. */
static int open_below_roots(const struct chain *chain, const struct hint *hint, int *out,
			    struct vd_error *err)
{
	bool is_below = false, leads_out = false;
	int why = 0;

	for (size_t i = 0; i < chain->n_roots; i++) {
		const struct root *root = &chain->roots[i];
		const char *below = vd_path_below(root->real, hint->path);
		int fd;

		if (!below)
			below = vd_path_below(root->named, hint->path);
		if (!below)
			continue;
		is_below = true;
		fd = vd_place_open_beneath(root->fd, below, false);
		if (fd >= 0) {
			*out = fd;
			return 0;
		}
		if (fd == -EXDEV || fd == -ELOOP)
			leads_out = true;
		else if (!why || why == ENOENT)
			why = -fd;
	}
	if (!is_below)
		return outside_error(chain, hint, "lies outside of", err);
	if (leads_out)
		return outside_error(chain, hint, "is reached by a link that leads out of", err);
	return vd_error_set(err, vd_code_from_errno(why), why, VD_NO_OFFSET,
			    "the parent %.200s (%s '%.100s'): %s", hint->path, hint->key,
			    hint->value, strerror(why));
}

/* The image itself again: opening it would meet our own lock, and never end. */
static int check_cycle(const struct chain *chain, int fd, const struct hint *hint,
		       struct vd_error *err)
{
	struct vd_disk *disk = chain->top;
	bool is_image;
	struct vd_identity own = vd_place_identity(fd, &is_image);

	if (!is_image)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "the parent %.200s is neither a file nor a block device",
				    hint->path);
	for (uint32_t depth = 0; disk; disk = disk->parent, depth++)
		if (vd_identity_is_equal(disk->identity, own))
			return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
					    "the parents form a cycle of %u images: %.200s has "
					    "itself as its ancestor",
					    chain->depth - depth + 1, hint->path);
	return 0;
}

/* Is `parent` what the child was made on? */
static int check_linkage(const struct vd_disk *child, const struct vd_parent_hint *said,
			 const struct vd_disk *parent, struct vd_error *err)
{
	struct vd_guid wanted, later, has;
	char text[VD_GUID_TEXT];

	memcpy(has.b, parent->info.data_write_id, 16);
	if (!vd_guid_parse(said->linkage, &wanted))
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "parent_linkage '%s' is not a GUID", said->linkage);
	if (!vd_guid_is_equal(wanted, has) &&
	    !(vd_guid_parse(said->linkage2, &later) && vd_guid_is_equal(later, has))) {
		vd_guid_format(has, text);
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "parent %.200s has DataWriteGuid {%s}, but its child was made "
				    "on %s: the parent was changed since, or it is another image",
				    parent->path, text, said->linkage);
	}
	if (parent->sector_size != child->sector_size)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "parent %.200s has logical sectors of %u bytes, its child of "
				    "%u; they must be equal",
				    parent->path, parent->sector_size, child->sector_size);
	return 0;
}

static int open_parent(struct chain *chain, struct vd_disk *child, struct hint *hint,
		       const struct vd_parent_hint *said, struct vd_error *err)
{
	struct vd_open_opts own = *chain->opts;
	struct vd_disk *parent = NULL;
	struct vd_io *io = NULL;
	VD_AUTO_FD int fd = -1;
	int ret = open_below_roots(chain, hint, &fd, err);

	if (!ret)
		ret = check_cycle(chain, fd, hint, err);
	if (ret)
		return ret;
	/* The parent's own hints start from where it really lies. */
	vd_place_of_fd(fd, hint->path, sizeof(hint->path));
	own.flags &= ~VD_OPEN_WRITE;
	/* A parent is of the child's own format: nothing is taken for raw here. */
	own.format = child->ops->name;
	ret =
	    vd_io_open_fd(&io, fd, hint->path, own.flags & VD_OPEN_DIRECT ? VD_IO_DIRECT : 0, err);
	if (!ret)
		ret = vd_disk_open_one(&parent, io, hint->path, &own, err);
	vd_io_close(io);
	if (ret) {
		vd_error_prefix(err, ret, "parent %.200s", hint->path);
		return ret;
	}
	ret = check_linkage(child, said, parent, err);
	if (ret) {
		vd_disk_free(parent, NULL);
		return ret;
	}
	child->parent = parent;
	return 0;
}

/* Of the failures of several hints, the one that helps most. */
static int weight(int code)
{
	switch (code) {
	case VD_ENOENT:
		return 1;
	case VD_EDENIED:
		return 2;
	default:
		return 3;
	}
}

static int missing_error(const struct vd_disk *child, const struct vd_parent_hint *said,
			 struct vd_error *err)
{
	return vd_error_set(err, VD_ENOENT, 0, VD_NO_OFFSET,
			    "%s names no parent that can be looked for here (relative_path "
			    "'%.90s', volume_path '%.90s', absolute_win32_path '%.90s'): paths of "
			    "Windows drives, volumes and shares mean nothing on this host",
			    child->path[0] ? child->path : "the image", said->relative_path,
			    said->volume_path, said->absolute_win32_path);
}

/*
 * The hint as an absolute path. A relative one starts from the child's folder; a store of the
 * caller's has none, and then from each root in turn. False: no (further) place to look.
 */
static bool locate(const struct chain *chain, const struct vd_disk *child, size_t turn,
		   struct hint *hint)
{
	const char *folder = child->folder;
	char path[1024];

	if (!hint->value[0] || !vd_path_from_hint(hint->value, path, sizeof(path)))
		return false;
	if (path[0] != '/' && !folder)
		folder = turn < chain->n_roots ? chain->roots[turn].real : NULL;
	else if (turn)
		return false;
	return (path[0] == '/' || folder) &&
	       vd_path_join(folder, path, hint->path, sizeof(hint->path));
}

static int find_parent(struct chain *chain, struct vd_disk *child, struct vd_error *err)
{
	struct vd_parent_hint said = {0};
	struct vd_error first = VD_ERROR_INIT;
	const char *keys[3] = {"relative_path", "volume_path", "absolute_win32_path"};
	const char *values[3] = {said.relative_path, said.volume_path, said.absolute_win32_path};
	int ret = child->ops->get_parent_hint(child->state, &said, err);

	if (ret)
		return ret;
	for (int i = 0; i < 3; i++) {
		struct hint hint = {keys[i], values[i], ""};

		for (size_t turn = 0; locate(chain, child, turn, &hint); turn++) {
			struct vd_error own = VD_ERROR_INIT;

			ret = open_parent(chain, child, &hint, &said, &own);
			if (!ret)
				return 0;
			if (!first.code || weight(ret) > weight(first.code))
				first = own;
		}
	}
	if (!first.code)
		return missing_error(child, &said, err);
	return vd_error_set(err, first.code, first.sys_errno, first.offset, "%s", first.text);
}

int vd_chain_open(struct vd_disk *top, const struct vd_open_opts *opts, struct vd_error *err)
{
	struct chain chain = {.top = top, .opts = opts};
	struct vd_disk *disk = top;
	int ret;

	if (!top->has_parent || opts->flags & VD_OPEN_NO_PARENTS)
		return 0;
	ret = find_roots(&chain, err);
	for (; !ret && disk->has_parent; disk = disk->parent, chain.depth++) {
		if (chain.depth >= opts->max_depth)
			ret = vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
					   "the chain has more than %u parents, which is the most "
					   "that is opened (max_depth of vd_open_opts)",
					   opts->max_depth);
		else
			ret = find_parent(&chain, disk, err);
		if (ret)
			break;
	}
	drop_roots(&chain);
	return ret ? ret : vd_skip_init(top, err);
}
