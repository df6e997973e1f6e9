/* SPDX-License-Identifier: MIT */
/* What the files of the owner share among themselves. */
#ifndef VDFUSE_OWNER_OWN_H
#define VDFUSE_OWNER_OWN_H

#include <pthread.h>

#include "latency.h"
#include "owner.h"

struct control_server;

struct owner {
	struct vd_image *image;
	struct vd_disk *disk;
	char *path;
	char *policy_dir; /* absolute */
	bool is_writable;
	struct stat stat;
	int64_t since; /* seconds since 1970 */
	struct owner_door door;
	struct control_server *server;
	struct latency latency;
	struct vd_generation *generation;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	struct owner_window *windows[OWNER_WINDOWS_MAX];
	size_t n_windows;
	bool has_new_layout; /* the partition table may have changed */
	char scheme[8], layout_problem[200];
	struct owner_job *job; /* the last one */
	bool has_generation;
	uint8_t generation_id[16]; /* of the last that began */
};

/** Read the partition table; before others use the owner. */
void owner_windows_init(struct owner *owner);
void owner_windows_free(struct owner *owner);
void owner_jobs_end(struct owner *owner);

/** Where the rules are (owner_policy.c); NULL: in the site's folder. */
int owner_policy_init(struct owner *owner, const char *dir, struct vd_error *err);
/** Open the image if the policy allows it; fills what `opts` has for that but override_reason. */
int owner_policy_open(struct owner *owner, enum vd_purpose purpose, struct vd_image_opts *opts,
		      struct vd_error *err);
/** May this be done now? `request` names the one who wants it, and an "override". `forgets`: it
 *  takes the history away. VD_EDENIED with the reason. */
int owner_policy_ask(struct owner *owner, enum vd_purpose action, const json_t *request,
		     bool forgets, struct vd_error *err);

/** The server of the control channel (control_server.c). */
int control_server_start(struct control_server **out, struct owner *owner, struct vd_error *err);
/** Answer nobody any more. NULL is allowed here and below. */
void control_server_pause(struct control_server *server);
/** The image is closed: tell those who wait for that, and hang up on all. */
void control_server_end(struct control_server *server, int code, const struct vd_error *why);

#endif
