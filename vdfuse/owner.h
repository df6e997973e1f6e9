/* SPDX-License-Identifier: MIT */
/*
 * The owner of an open image: the image itself, the stretches of it that are handed out, long
 * jobs, statistics, and the control channel. It knows no FUSE: the mount is a door of it
 * (door.h), and others can be added beside it. All functions are thread-safe unless they say
 * otherwise.
 */
#ifndef VDFUSE_OWNER_H
#define VDFUSE_OWNER_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <vdisk/compact.h>
#include <vdisk/disk.h>
#include <vdisk/error.h>
#include <vdisk/image.h>

struct owner;

struct owner_opts {
	const char *path;
	bool is_writable;
	const char *format; /* NULL: probe */
	const char *const *parent_roots;
	size_t n_parent_roots;
	const char *sidecar_dir;
	const char *policy_dir;      /* NULL: /etc/vdisk/policy.d */
	const char *override_reason; /* open although the policy denies it; or NULL */
};

/** Open the image. Not yet reachable by the control channel. */
int owner_open(struct owner **out, const struct owner_opts *opts, struct vd_error *err);
/** Flush and close; jobs are cancelled and waited for, and who asked for the detach hears how it
 *  went. The handle is gone also if this fails. */
int owner_close(struct owner *owner, struct vd_error *err);

struct vd_image *owner_image(struct owner *owner);
struct vd_disk *owner_disk(struct owner *owner);
/** Absolute. */
const char *owner_path(const struct owner *owner);
bool owner_is_writable(const struct owner *owner);
/** The file, as it was when it was opened. */
const struct stat *owner_stat(const struct owner *owner);
/** A descriptor of the image file for asking the host about it, or -1. */
int owner_descriptor(struct owner *owner);

/* ---- what guests do ---- */

/** Times of their reads and writes; the door counts them. */
struct latency *owner_latency(struct owner *owner);
/** What they wrote since a generation began, or NULL (nobody may write). The door tells it of each
 *  write. */
struct vd_generation *owner_generation(struct owner *owner);

/* ---- windows: the whole disk and its partitions ---- */

struct owner_window {
	char name[16];   /* "disk", "p1" */
	uint32_t number; /* 0: the whole disk, else the partition's */
	uint64_t start, length;
	char type[16]; /* of the file system, "" */
	char label[256];
	/* The owner's own. */
	unsigned int n_readers, n_writers, n_closing;
	bool is_gone, is_stale;
};
#define OWNER_WINDOWS_MAX 257u

/** Window `i` of those there are now, NULL behind the last. Looks at the partition table again
 *  when it may have changed. A window's memory stays until the owner is closed. */
struct owner_window *owner_window_at(struct owner *owner, size_t i);
struct owner_window *owner_window_find(struct owner *owner, const char *name);
struct owner_window *owner_window_numbered(struct owner *owner, uint32_t number);
/** Its length as of now; false: its partition is gone. */
bool owner_window_length(struct owner *owner, const struct owner_window *window, uint64_t *length);
/**
 * Begin to use a window. VD_EBUSY: one that overlaps is open, and one of both is for writing (the
 * kernel keeps a cache for each). *keep_cache: what the kernel cached of it is still right.
 */
int owner_window_open(struct owner *owner, struct owner_window *window, bool for_writing,
		      bool *keep_cache, struct vd_error *err);
/** The user has closed it, the kernel will tell soon: who wants to open waits a moment for that. */
void owner_window_closing(struct owner *owner, struct owner_window *window);
void owner_window_close(struct owner *owner, struct owner_window *window, bool for_writing);
/** The disk reads differently now, and not because of what was written through a window: who opens
 *  one from now on sees that, whatever the kernel has cached of it. */
void owner_windows_outdate(struct owner *owner);

/* ---- what it tells ---- */

/** What info.json holds: the image and its parts. */
json_t *owner_describe(struct owner *owner);
/** That, and the process: mode, mount point, statistics, job. */
json_t *owner_status(struct owner *owner);

/* ---- jobs ---- */

struct owner_job;

/** A kind of long work on the open image. */
struct owner_job_ops {
	const char *name;
	bool needs_writing;
	/** What a policy is asked before it starts, by its parameters; 0: nothing. May be NULL. */
	enum vd_purpose (*action)(const json_t *params);
	/** Runs in a thread of its own; looks often at owner_job_is_cancelled. Returns 0, a VD_E*,
	 *  VD_ECANCELED. */
	int (*run)(struct owner_job *job, struct vd_error *err);
};
/** All kinds; NULL ends it. */
extern const struct owner_job_ops *const owner_job_kinds[];

struct owner *owner_job_owner(struct owner_job *job);
/** What the one who started it asked for: an object. */
const json_t *owner_job_params(struct owner_job *job);
bool owner_job_is_cancelled(struct owner_job *job);
/** `total` 0: not known. `what`: a few words, or NULL. */
void owner_job_progress(struct owner_job *job, uint64_t done, uint64_t total, const char *what);
/** What came beside the request for it (params.layout), or NULL. */
const char *owner_job_content(struct owner_job *job, size_t *len);
/** Add to what the job reports when it is over; `value` is taken. */
void owner_job_result(struct owner_job *job, const char *key, json_t *value);

/** May it begin? The policy is asked, if this kind of job asks one. `request`: with "params" and
 *  perhaps "override". VD_EDENIED with the reason; VD_EBUSY: one is running. */
int owner_job_ask(struct owner *owner, const char *name, const json_t *request,
		  struct vd_error *err);
/** VD_EBUSY: one is running. `params` (may be NULL) is borrowed. `content` (may be NULL), of `len`
 *  bytes, is taken in any case. */
int owner_job_start(struct owner *owner, const char *name, const json_t *params, char *content,
		    size_t len, struct vd_error *err);
/** VD_ENOENT: none is running. */
int owner_job_cancel(struct owner *owner, struct vd_error *err);
/** The running or the last one as JSON; null if there was none. */
json_t *owner_job_status(struct owner *owner);

/* ---- doors and the control channel ---- */

/** How the image is reached, for status and detach. */
struct owner_door {
	const char *kind;        /* "fuse" */
	const char *mount_point; /* absolute */
	void *user;
	/** Begin to close: VD_EBUSY while it is in use. `lazy`: don't ask. */
	int (*detach)(void *user, bool lazy, struct vd_error *err);
};
void owner_set_door(struct owner *owner, const struct owner_door *door);

/** Listen. A failure leaves an owner without a control channel. */
int owner_listen(struct owner *owner, struct vd_error *err);
/** Answer nobody any more; who waits for the end of a detach hears of it from owner_close. */
void owner_pause(struct owner *owner);

/** Answer one request (owner_request.c). `content_fd`: a descriptor that came with it, borrowed, or
 *  -1. *wait_for_end: the answer comes with the close. */
json_t *owner_answer(struct owner *owner, const json_t *request, int content_fd,
		     bool *wait_for_end);
/** Is it one that uses what came as `content_fd`? That is closed then. */
bool owner_takes_content(const json_t *request);
/** Requests about metadata (owner_meta.c); NULL: not one of them. */
json_t *owner_answer_meta(struct owner *owner, const char *what, const json_t *request,
			  int content_fd);

#endif
