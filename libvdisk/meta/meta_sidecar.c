/* SPDX-License-Identifier: MIT */
/*
 * Sidecars: the metadata of images whose format has no room for it, in a small VHDX without
 * payload. Found by name, opened for writing only while a commit lasts, and never there for
 * nothing. Names and the record that says whose it is: docs/metadata-format.md.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <vdisk/sys/io.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/lent.h"
#include "meta/meta_handle.h"

#define SUFFIX       ".vdmeta"
#define SUBJECT_NAME 255u /* bytes of a file name */

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The path that the sidecar stands beside. A link to an image shares that of the image itself;
 * a device is known by the name that it was opened by, for the real one may change. */
static int subject_path(const struct vd_meta *meta, char **out, struct vd_error *err)
{
	const char *path = vd_disk_path(meta->disk), *base = base_of(path);
	VD_AUTO_FREE char *real = NULL, *folder = NULL, *folder_real = NULL;
	size_t n;
	int ret;

	if (!vd_io_is_device(vd_disk_io(meta->disk))) {
		folder = vd_malloc((size_t)(base - path) + 2);
		if (!folder)
			return vd_no_memory(err, strlen(path), "a path");
		memcpy(folder, path, (size_t)(base - path));
		strcpy(folder + (base - path), base == path ? "." : "");
		ret = vd_io_real_path(path, &real, NULL);
		if (!ret)
			ret = vd_io_real_path(folder, &folder_real, NULL);
		/* Beside the link there would be none. */
		if (ret == VD_ENOMEM)
			return vd_no_memory(err, strlen(path), "a path");
		n = folder_real ? strlen(folder_real) : 0;
		if (!ret && (size_t)(base_of(real) - real) - 1 == (n > 1 ? n : 0) &&
		    !strncmp(real, folder_real, n) && !strcmp(base_of(real), base))
			ret = 1; /* no link: as it is named */
		if (!ret) {
			*out = VD_TAKE(real);
			return 0;
		}
	}
	*out = vd_strdup(path);
	return *out ? 0 : vd_no_memory(err, strlen(path), "a path");
}

/* DIR/BASE-XXXXXXXX.vdmeta: the digits are of the digest of the image's absolute path. */
static int name_in_folder(struct vd_meta *meta, const char *subject, struct vd_error *err)
{
	VD_AUTO_FREE char *real = NULL;
	const char *base = base_of(subject);
	uint8_t digest[32];
	size_t size;
	int ret;

	if (vd_io_is_device(vd_disk_io(meta->disk)) && subject[0] == '/') {
		real = vd_strdup(subject);
		ret = real ? 0 : vd_no_memory(err, strlen(subject), "a path");
	} else {
		ret = vd_io_real_path(subject, &real, err);
	}
	if (ret)
		return ret;
	meta_digest(real, strlen(real), digest);
	size = strlen(meta->sidecar_dir) + strlen(base) + 32;
	meta->sidecar = vd_malloc(size);
	if (!meta->sidecar)
		return vd_no_memory(err, size, "a path");
	snprintf(meta->sidecar, size, "%s/%s-%02x%02x%02x%02x" SUFFIX, meta->sidecar_dir, base,
		 digest[0], digest[1], digest[2], digest[3]);
	return 0;
}

int meta_place(struct vd_meta *meta, struct vd_error *err)
{
	VD_AUTO_FREE char *subject = NULL;
	struct vd_item *items = NULL;
	struct vd_error own = VD_ERROR_INIT;
	size_t n;
	int ret;

	if (!meta->sidecar_dir) {
		ret = vd_disk_list_items(meta->disk, &items, &n, &own);
		vd_items_free(items);
		if (ret != VD_EUNSUPPORTED) {
			meta->place = VD_META_ITEMS;
			if (ret && err)
				*err = own;
			return ret;
		}
	}
	if (!*vd_disk_path(meta->disk)) {
		if (meta->sidecar_dir)
			return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
					    "an image without a path can't have a sidecar");
		meta->place = VD_META_NOWHERE;
		return 0;
	}
	meta->place = VD_META_SIDECAR;
	ret = subject_path(meta, &subject, err);
	if (ret)
		return ret;
	if (meta->sidecar_dir)
		return name_in_folder(meta, subject, err);
	meta->sidecar = vd_malloc(strlen(subject) + sizeof(SUFFIX));
	if (!meta->sidecar)
		return vd_no_memory(err, strlen(subject), "a path");
	strcpy(meta->sidecar, subject);
	strcat(meta->sidecar, SUFFIX);
	return 0;
}

static bool is_passing(int code)
{
	return code == VD_ENOMEM || code == VD_ECANCELED || code == VD_ETIMEDOUT;
}

int meta_open_sidecar(struct vd_meta *meta, struct vd_error *err)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_error why = VD_ERROR_INIT;
	char text[VD_ERROR_TEXT_MAX + 64];
	int ret;

	vd_free(meta->trouble);
	meta->trouble = NULL;
	opts.flags = VD_OPEN_LOOK | VD_OPEN_NO_PARENTS;
	opts.format = VD_FORMAT_VHDX;
	ret = vd_disk_open(&meta->own, meta->sidecar, &opts, &why);
	if (!ret || ret == VD_ENOENT)
		return 0;
	if (is_passing(ret))
		return vd_error_set(err, ret, why.sys_errno, why.offset, "%s", why.text);
	/* The image itself is none the worse for it. */
	snprintf(text, sizeof(text), "the sidecar can't be read: %s", why.text);
	meta->trouble = vd_strdup(text);
	return meta->trouble ? 0 : vd_no_memory(err, strlen(text), "a message");
}

/* ---- whose it is ---- */

/* A name as a text: what could end the line, and '%', as %XX. */
static void write_name(const char *name, char *to, size_t size)
{
	size_t n = 0;

	for (; *name && n + 4 < size; name++) {
		unsigned char c = (unsigned char)*name;

		if (c < 0x20 || c == 0x7f || c == '%')
			n += (size_t)snprintf(to + n, size - n, "%%%02X", c);
		else
			to[n++] = *name;
	}
	to[n] = '\0';
}

static int write_subject(const struct vd_meta *meta, char *text, size_t size, struct vd_error *err)
{
	struct vd_disk_info info = {.size = sizeof(info)};
	VD_AUTO_FREE char *path = NULL;
	char name[3 * SUBJECT_NAME + 8];
	int ret = subject_path(meta, &path, err);

	if (ret)
		return ret;
	vd_disk_get_info(meta->disk, &info);
	write_name(base_of(path), name, sizeof(name));
	snprintf(text, size, "name: %s\nformat: %s\nsize: %llu\n", name, info.format,
		 (unsigned long long)info.virtual_size);
	return 0;
}

/* The line "KEY: ..." of a subject, without its end. */
static bool find_line(const char *text, const char *key, char *line, size_t size)
{
	size_t key_len = strlen(key);

	while (*text) {
		size_t n = strcspn(text, "\n");

		if (n >= key_len && n < size && !strncmp(text, key, key_len)) {
			memcpy(line, text + key_len, n - key_len);
			line[n - key_len] = '\0';
			return meta_text_is_clean(line, n - key_len);
		}
		text += text[n] ? n + 1 : n;
	}
	return false;
}

static int set_mismatch(struct vd_meta *meta, const char *text, struct vd_error *err)
{
	meta->mismatch = vd_strdup(text);
	/* Not to know of it would let it pass for the image's own. */
	return meta->mismatch ? 0 : vd_no_memory(err, strlen(text), "a message");
}

static int compare_subject(struct vd_meta *meta, const char *stored, const char *current,
			   struct vd_error *err)
{
	static const char *const keys[] = {"name: ", "format: ", "size: "};
	static const char *const names[] = {"called", "of format", "of bytes"};
	char was[1024], is[1024], text[2300];

	for (size_t i = 0; i < 3; i++) {
		if (!find_line(stored, keys[i], was, sizeof(was))) {
			return set_mismatch(
			    meta, "the sidecar doesn't say which image it belongs to", err);
		}
		if (!find_line(current, keys[i], is, sizeof(is)) || !strcmp(was, is))
			continue;
		snprintf(text, sizeof(text),
			 "the sidecar was made for an image %s %s, this one is "
			 "%s %s",
			 names[i], was, names[i], is);
		return set_mismatch(meta, text, err);
	}
	return 0;
}

int meta_check_subject(struct vd_meta *meta, struct vd_error *err)
{
	struct meta_record *r = meta_find(meta, VD_RECORD_SUBJECT, "subject", "");
	VD_AUTO_FREE uint8_t *raw = NULL;
	char current[2048];
	size_t len;
	int ret;

	vd_free(meta->mismatch);
	meta->mismatch = NULL;
	if (meta->place != VD_META_SIDECAR || !meta->own)
		return 0;
	ret = r && r->is_stored ? meta_read_record(meta, r, &raw, &len, err) : VD_ENOENT;
	if (ret == VD_ENOMEM)
		return ret;
	if (ret)
		return set_mismatch(meta, "the sidecar doesn't say which image it belongs to", err);
	ret = write_subject(meta, current, sizeof(current), err);
	return ret ? ret : compare_subject(meta, (const char *)raw, current, err);
}

int meta_settle_subject(struct vd_meta *meta, struct vd_error *err)
{
	struct meta_content content;
	struct meta_record *r;
	char text[2048];
	int ret;

	if (meta->place != VD_META_SIDECAR)
		return 0;
	r = meta_find(meta, VD_RECORD_SUBJECT, "subject", "");
	if (r && r->is_stored && !r->is_removed && !r->pub.damage && !meta->mismatch)
		return 0;
	ret = write_subject(meta, text, sizeof(text), err);
	if (!ret)
		ret = meta_require(meta, VD_RECORD_SUBJECT, "subject", "", "", &r, err);
	if (!ret)
		ret = meta_pack(VD_RECORD_SUBJECT, "subject", false, text, strlen(text), &content,
				err);
	if (!ret)
		meta_put(meta, r, &content);
	return ret;
}

/* ---- writing ---- */

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* A link in the place of a sidecar could lead to any image: in folders of others root must not
 * follow it for writing. */
static int open_to_edit(struct vd_disk **disk, const char *path, struct vd_error *err)
{
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_io *io;
	int ret = vd_io_open_file(&io, path, VD_IO_WRITE | VD_IO_NO_FOLLOW, err);

	if (ret)
		return ret;
	opts.flags = VD_OPEN_WRITE | VD_OPEN_NO_PARENTS;
	opts.format = VD_FORMAT_VHDX;
	ret = vd_disk_open_io(disk, io, &opts, err);
	vd_io_close(io);
	return ret;
}

int meta_lock_sidecar(struct vd_meta *meta, struct vd_disk **disk, struct vd_error *err)
{
	const struct timespec pause = {0, 10000000};
	uint64_t end = now_ms() + meta->opts.timeout_ms;
	struct vd_error why = VD_ERROR_INIT;
	int ret;

	for (;;) {
		ret = open_to_edit(disk, meta->sidecar, &why);
		if (!ret && vd_io_has_name(vd_disk_io(*disk)))
			return 0;
		if (!ret) {
			/* Whoever had it took it away meanwhile. */
			vd_disk_close(*disk, NULL);
			continue;
		}
		if (ret != VD_EBUSY || now_ms() >= end)
			break;
		nanosleep(&pause, NULL);
	}
	*disk = NULL;
	if (ret == VD_ENOENT)
		return 0;
	return vd_error_set(err, ret, why.sys_errno, why.offset, "sidecar: %s", why.text);
}

static int fill_draft(struct vd_meta *meta, struct vd_io *io, const struct vd_item_change *changes,
		      size_t n, struct vd_error *err)
{
	struct vd_create_opts create = VD_CREATE_OPTS_INIT;
	struct vd_open_opts opts = VD_OPEN_OPTS_INIT;
	struct vd_disk *disk;
	int ret, closed;

	create.virtual_size = vd_max64(vd_align_up(vd_disk_size(meta->disk), 512), 512);
	create.block_size = (uint32_t)(256 * VD_MIB); /* the smallest BAT */
	create.log_size = (uint32_t)VD_MIB;
	opts.flags = VD_OPEN_WRITE | VD_OPEN_NO_PARENTS;
	opts.format = VD_FORMAT_VHDX;
	ret = vd_disk_create_io(io, &create, err);
	if (!ret)
		ret = vd_disk_open_io(&disk, io, &opts, err);
	if (ret)
		return ret;
	ret = vd_disk_change_items(disk, changes, n, err);
	closed = vd_disk_close(disk, ret ? NULL : err);
	return ret ? ret : closed;
}

int meta_create_sidecar(struct vd_meta *meta, const struct vd_item_change *changes, size_t n,
			struct vd_error *err)
{
	struct vd_io_draft *draft;
	int ret = vd_io_create_beside(&draft, meta->sidecar, 0, false, err);

	if (ret)
		return vd_error_prefix(err, ret,
				       "the sidecar can't be made; it can be kept in "
				       "another folder");
	ret = fill_draft(meta, vd_io_draft_io(draft), changes, n, err);
	if (ret) {
		vd_io_discard(draft);
		return ret;
	}
	return vd_io_publish(draft, err);
}

int meta_remove_sidecar(struct vd_meta *meta, struct vd_disk *disk, struct vd_error *err)
{
	/* Removed while it is locked: who waits for the lock sees that the name is gone. */
	int ret = vd_io_remove(meta->sidecar, err);

	vd_disk_close(disk, NULL);
	return ret;
}
