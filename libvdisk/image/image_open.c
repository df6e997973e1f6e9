/* SPDX-License-Identifier: MIT */
/*
 * An image opened for a purpose: its disk, its metadata, and the line in its history.
 *
 * Invariants. A purpose that doesn't write opens nothing for writing. The line stands durably in
 * the history before the guest's first change reaches the file (VD_EVENT_WILL_WRITE, asked once per
 * opening by the disk layer). An image without records of ours never gets one from here, unless
 * vd_image_commit is called.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/message.h"
#include "image/image_own.h"

#define SIDECAR_WAIT_MS 2000

/** Looked at without locks. */
static bool looks(enum vd_purpose purpose)
{
	return purpose == VD_PURPOSE_INSPECT || purpose == VD_PURPOSE_SEARCH ||
	       purpose == VD_PURPOSE_MAP;
}

struct vd_operation image_operation(const struct vd_image *image)
{
	struct vd_operation op = {.actor = image->actor,
				  .tool = image->tool ? image->tool : "libvdisk " VD_VERSION,
				  .operation = image->operation,
				  .parameters = image->parameters};

	if (image->actor && !*image->actor)
		op.host = ""; /* who stays unnamed isn't given away by the host */
	if (!op.operation)
		op.operation = vd_purpose_name(image->purpose);
	return op;
}

bool image_cant_remember(int code, bool had_changes)
{
	return code == VD_ECORRUPT || code == VD_EUNSUPPORTED ||
	       (code == VD_ENOSPC && !had_changes);
}

/** Add a line to the history and make it durable, with what else has changed. A second try doesn't
 *  add a second line. */
static int enter(struct vd_image *image, bool *is_logged, const char *operation,
		 const char *parameters, const char *outcome, struct vd_error *err)
{
	struct vd_operation op = image_operation(image);
	struct vd_meta_info info = {.size = sizeof(info)};
	int ret = 0;

	if (operation)
		op.operation = operation;
	if (parameters)
		op.parameters = parameters;
	op.outcome = outcome;
	vd_meta_get_info(image->meta, &info);
	if (!info.has_changes) /* those that failed to be committed were dropped */
		image->is_opening_logged = image->is_commit_logged = false;
	if (!*is_logged)
		ret = vd_meta_log(image->meta, &op, err);
	if (ret)
		return ret;
	*is_logged = true;
	ret = vd_meta_commit(image->meta, err);
	if (ret)
		return ret;
	image->has_entry |= image->is_opening_logged;
	image->is_opening_logged = image->is_commit_logged = false;
	return 0;
}

/** The line about this opening, if there is a history to stand in. */
static int enter_opening(struct vd_image *image, const char *outcome, struct vd_error *err)
{
	struct vd_meta_info info = {.size = sizeof(info)};
	struct vd_error own = VD_ERROR_INIT;
	int ret = 0;

	vd_image_lock_meta(image);
	vd_meta_get_info(image->meta, &info);
	if (info.has_ours && !image->has_entry)
		ret = enter(image, &image->is_opening_logged, NULL, NULL, outcome, &own);
	if (image_cant_remember(ret, info.has_changes)) {
		vd_message(VD_MESSAGE_WARNING, "%s: its history gets no entry: %s",
			   vd_disk_path(image->disk), own.text);
		vd_meta_revert(image->meta, NULL);
		ret = 0;
	}
	if (ret)
		vd_error_set(err, ret, own.sys_errno, own.offset,
			     "the history can't be continued: %s", own.text);
	else
		image->has_entry = true;
	vd_image_unlock_meta(image);
	return ret;
}

static int hear(void *user, struct vd_disk *disk, const struct vd_event *event,
		struct vd_error *err)
{
	(void)disk;
	return event->kind == VD_EVENT_WILL_WRITE ? enter_opening(user, NULL, err) : 0;
}

static int keep_text(char **to, const char *text, struct vd_error *err)
{
	if (!text)
		return 0;
	*to = vd_strdup(text);
	return *to ? 0 : vd_no_memory(err, strlen(text) + 1, "options of an image");
}

static int keep_texts(struct vd_image *image, const struct vd_image_opts *opts,
		      struct vd_error *err)
{
	int ret = keep_text(&image->actor, opts->actor, err);

	if (!ret)
		ret = keep_text(&image->tool, opts->tool, err);
	if (!ret)
		ret = keep_text(&image->operation, opts->operation, err);
	if (!ret)
		ret = keep_text(&image->parameters, opts->parameters, err);
	return ret;
}

/** Open disk and metadata; `flags` are VD_OPEN_*, `meta_flags` VD_META_*. */
static int open_both(struct vd_image *image, const char *path, const struct vd_image_opts *opts,
		     uint32_t flags, uint32_t meta_flags, struct vd_error *err)
{
	const uint32_t from_purpose = VD_OPEN_WRITE | VD_OPEN_LOOK;
	struct vd_open_opts disk = VD_OPEN_OPTS_INIT;
	struct vd_meta_opts meta = VD_META_OPTS_INIT;
	int ret;

	if (opts->disk)
		memcpy(&disk, opts->disk,
		       opts->disk->size < sizeof(disk) ? opts->disk->size : sizeof(disk));
	disk.size = sizeof(disk);
	disk.flags = (disk.flags & ~from_purpose) | flags;
	ret = vd_disk_open(&image->disk, path, &disk, err);
	if (ret)
		return ret;
	meta.flags = meta_flags;
	meta.sidecar_dir = opts->sidecar_dir;
	meta.timeout_ms = disk.timeout_ms;
	/* A guest's first write doesn't fail because of somebody who edits the sidecar just now. */
	if (!meta.timeout_ms &&
	    (image->purpose == VD_PURPOSE_RUN || image->purpose == VD_PURPOSE_MOUNT_RW))
		meta.timeout_ms = SIDECAR_WAIT_MS;
	return vd_meta_open(&image->meta, image->disk, &meta, err);
}

static int close_both(struct vd_image *image, struct vd_error *err)
{
	int ret;

	vd_meta_close(image->meta);
	ret = vd_disk_close(image->disk, err);
	image->meta = NULL;
	image->disk = NULL;
	return ret;
}

/** Only the metadata is to be changed: does it lie beside the image? Then the image stays as it
 *  is; *done tells. */
static int open_beside(struct vd_image *image, const char *path, const struct vd_image_opts *opts,
		       bool *done, struct vd_error *err)
{
	struct vd_meta_info info = {.size = sizeof(info)};
	int ret = open_both(image, path, opts, VD_OPEN_LOOK, VD_META_WRITE, err);

	*done = false;
	if (ret == VD_EROFS) { /* in items: the image itself has to be written */
		close_both(image, NULL);
		return 0;
	}
	if (ret)
		return ret;
	vd_meta_get_info(image->meta, &info);
	*done = info.place != VD_META_ITEMS;
	if (!*done)
		close_both(image, NULL);
	return 0;
}

static int open_for(struct vd_image *image, const char *path, const struct vd_image_opts *opts,
		    struct vd_error *err)
{
	bool writes = vd_purpose_writes(image->purpose), done = false;
	bool only_metadata = opts->flags & VD_IMAGE_METADATA_ONLY;
	uint32_t flags = writes                                   ? VD_OPEN_WRITE
			 : only_metadata || looks(image->purpose) ? VD_OPEN_LOOK
								  : 0;
	int ret = writes && only_metadata ? open_beside(image, path, opts, &done, err) : 0;

	if (ret || done)
		return ret;
	ret = open_both(image, path, opts, flags, writes ? VD_META_WRITE : 0, err);
	if (!ret && writes)
		ret = vd_disk_add_listener(image->disk, hear, image, err);
	return ret;
}

/** Opening for writing may write by itself, where a log is to be replayed. So that a denial leaves
 *  every byte as it is, it is asked of what can be read first. */
static int ask_first(struct vd_image *image, struct image_question *question, const char *path,
		     struct vd_error *err)
{
	uint32_t lock = question->opts->flags & VD_IMAGE_METADATA_ONLY ? VD_OPEN_LOOK : 0;
	int ret = open_both(image, path, question->opts, lock | VD_OPEN_NO_PARENTS, 0, err);

	if (!ret)
		ret = image_question_ask(question, image->disk, image->meta, NULL, err);
	close_both(image, NULL);
	return ret;
}

/** Open if the policy allows it. What was seen first may have changed since: it is asked again,
 * once the locks are held. */
static int open_allowed(struct vd_image *image, const char *path, const struct vd_image_opts *opts,
			const struct vd_policy *policy, struct vd_error *err)
{
	struct image_question question = {.policy = policy, .action = image->purpose, .opts = opts};
	bool asks = policy && vd_purpose_asks(image->purpose);
	int ret = 0;

	if (asks && vd_purpose_writes(image->purpose) && !image_question_is_idle(&question))
		ret = ask_first(image, &question, path, err);
	if (!ret)
		ret = open_for(image, path, opts, err);
	if (!ret && asks)
		ret = image_question_ask(&question, image->disk, image->meta, image, err);
	image_question_end(&question);
	return ret;
}

static void image_free(struct vd_image *image)
{
	pthread_mutex_destroy(&image->lock);
	vd_free(image->actor);
	vd_free(image->tool);
	vd_free(image->operation);
	vd_free(image->parameters);
	vd_free(image);
}

int image_take_opts(struct vd_image_opts *own, const struct vd_image_opts *opts,
		    enum vd_purpose purpose, struct vd_error *err)
{
	*own = (struct vd_image_opts)VD_IMAGE_OPTS_INIT;
	if (opts && opts->size < sizeof(uint32_t))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "struct vd_image_opts says its size is %u: start from "
				    "VD_IMAGE_OPTS_INIT",
				    opts->size);
	if (opts)
		memcpy(own, opts, opts->size < sizeof(*own) ? opts->size : sizeof(*own));
	if (purpose < VD_PURPOSE_INSPECT || purpose > VD_PURPOSE_EDIT)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET, "purpose %d is not known",
				    (int)purpose);
	if (own->flags & ~VD_IMAGE_METADATA_ONLY)
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "flags 0x%x of an image's opening are not known",
				    own->flags & ~VD_IMAGE_METADATA_ONLY);
	if (own->override_reason && !own->override_reason[strspn(own->override_reason, " \t\n")])
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "an override needs a reason, and this one is empty");
	return 0;
}

int vd_image_open(struct vd_image **out, const char *path, enum vd_purpose purpose,
		  const struct vd_policy *policy, const struct vd_image_opts *opts,
		  struct vd_error *err)
{
	pthread_mutexattr_t recursive;
	struct vd_image_opts own;
	struct vd_image *image;
	int ret = image_take_opts(&own, opts, purpose, err);

	if (ret)
		return ret;
	image = vd_calloc(1, sizeof(*image));
	if (!image)
		return vd_no_memory(err, sizeof(*image), "an image");
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&image->lock, &recursive);
	pthread_mutexattr_destroy(&recursive);
	image->purpose = purpose;
	ret = keep_texts(image, &own, err);
	if (!ret)
		ret = open_allowed(image, path, &own, policy, err);
	if (ret) {
		close_both(image, NULL);
		image_free(image);
		return ret;
	}
	*out = image;
	return 0;
}

int vd_image_close(struct vd_image *image, struct vd_error *err)
{
	int entered = 0, closed;

	if (!image)
		return 0;
	/* A compaction changes nothing that a guest can see: its line comes now. */
	if (image->purpose == VD_PURPOSE_COMPACT)
		entered = enter_opening(image, "ok", err);
	closed = close_both(image, entered ? NULL : err);
	image_free(image);
	return entered ? entered : closed;
}

struct vd_disk *vd_image_disk(struct vd_image *image)
{
	return image->disk;
}

struct vd_meta *vd_image_meta(struct vd_image *image)
{
	return image->meta;
}

void vd_image_lock_meta(struct vd_image *image)
{
	pthread_mutex_lock(&image->lock);
}

void vd_image_unlock_meta(struct vd_image *image)
{
	pthread_mutex_unlock(&image->lock);
}

int vd_image_commit(struct vd_image *image, const char *operation, const char *parameters,
		    struct vd_error *err)
{
	int ret;

	vd_image_lock_meta(image);
	ret = enter(image, &image->is_commit_logged, operation, parameters, "ok", err);
	if (!ret && image->purpose == VD_PURPOSE_COMPACT)
		image->has_entry = true;
	vd_image_unlock_meta(image);
	return ret;
}
