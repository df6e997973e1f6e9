/* SPDX-License-Identifier: MIT */
/*
 * The control channel: how one talks to the process that has an image open (docs/control.md).
 * A UNIX socket whose name follows from the image's device and inode, one JSON object a line in
 * each direction. This room knows places, lines and messages; what a request does is the
 * owner's business (vdfuse/).
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <vdisk/error.h>

#define CONTROL_VERSION    1
#define CONTROL_LINE_MAX   (2u << 20) /* bytes of one message with its newline */
#define CONTROL_ITEMS_MAX  16384u     /* arrays, objects and commas in one message */
#define CONTROL_PATH_MAX   512
#define CONTROL_SEATS_MAX  16u /* processes that have one image open for reading at once */
#define CONTROL_TIMEOUT_MS 10000

/* ---- lines ---- */

/** Bytes on their way to becoming lines. Grows up to CONTROL_LINE_MAX. */
struct control_lines {
	char *bytes;
	size_t len, room;
	size_t n_taken;   /* of the line handed out last */
	size_t n_scanned; /* known to hold no newline */
};
/** Append. VD_ERANGE: more than a line may have, without a newline; VD_ENOMEM. */
int control_lines_put(struct control_lines *lines, const void *bytes, size_t len,
		      struct vd_error *err);
/** The next whole line, NUL in place of its newline, or NULL. Valid until the next call. */
char *control_lines_next(struct control_lines *lines, size_t *len);
void control_lines_free(struct control_lines *lines);

/* ---- messages ---- */

/** A request from a line. VD_EINVAL with a text for the one who sent it. */
int control_request_parse(json_t **request, const char *line, size_t len, struct vd_error *err);
/** An answer from a line: 0, or what it says went wrong. Both fill *reply if it is an object. */
int control_reply_parse(json_t **reply, const char *line, size_t len, struct vd_error *err);
/** {"v":1,"do":"..."} */
json_t *control_request_new(const char *what);
/** {"v":1,"ok":true} */
json_t *control_reply_new(void);
/** {"v":1,"ok":false,"code":...,"error":...} */
json_t *control_reply_error(const struct vd_error *err);
/** One line with its newline; *len without the NUL. NULL: no memory, or over the bound. */
char *control_message_format(const json_t *message, size_t *len);
/** The request's name of what to do. */
const char *control_request_what(const json_t *request);
/** A text of a request or a reply; NULL if it isn't there or isn't a text. */
const char *control_text(const json_t *message, const char *key);
/** Set `key` to text from outside: bytes that aren't UTF-8 become U+FFFD. NULL sets null. */
void control_set_text(json_t *object, const char *key, const char *text);
/** Numbers above 2^63-1 become null. */
void control_set_number(json_t *object, const char *key, uint64_t value);
json_t *control_safe_string(const char *text);

/* ---- content ---- */

#define CONTROL_CONTENT_MAX (64u << 20)

/** Bytes that go beside a request, as a file in memory. */
struct control_content {
	int fd;
	uint64_t length;
};
/** An empty one, to be filled, then sealed, then sent (control_call_with). */
int control_content_new(struct control_content *content, struct vd_error *err);
/** Append. VD_ENOSPC: more than CONTROL_CONTENT_MAX. */
int control_content_add(struct control_content *content, const void *bytes, size_t len,
			struct vd_error *err);
/** Nobody can change it any more. */
int control_content_seal(struct control_content *content, struct vd_error *err);
/** What came with a request; `fd` (-1: nothing came) stays the caller's. VD_EINVAL: it isn't
 *  sealed. */
int control_content_take(struct control_content *content, int fd, struct vd_error *err);
/** A stretch, whole. VD_EINVAL: it lies outside. */
int control_content_read(const struct control_content *content, uint64_t at, void *buf, size_t len,
			 struct vd_error *err);
void control_content_close(struct control_content *content);

/* ---- places ---- */

/** The folder of `uid`'s sockets: /run/vdisk, /run/user/UID/vdisk, or $VDISK_RUNTIME_DIR. */
void control_folder(uid_t uid, char path[CONTROL_PATH_MAX]);
/** The name within the folder, without an ending, of the n-th process that has this image. */
void control_name(const struct stat *image, unsigned int n, char name[64]);

/** What the owner of an image listens on. */
struct control_seat {
	int folder_fd, lock_fd, socket_fd;
	char folder[CONTROL_PATH_MAX];
	char name[64];
};
/** Make the folder (0700), take a free name, clear away what a dead process left, listen. */
int control_seat_take(struct control_seat *seat, const struct stat *image, struct vd_error *err);
/** Nobody finds us any more, but connections stay. Idempotent. */
void control_seat_leave(struct control_seat *seat);

/* ---- the client ---- */

struct control_peer {
	int fd;
	pid_t pid;
	struct control_lines in;
};
/**
 * Connect to the process that has the image open. VD_ENOENT: nobody with a control channel.
 * `want_writer`: only one that has it open for writing will do.
 */
int control_find(struct control_peer *peer, const char *image, bool want_writer,
		 struct vd_error *err);
/** The same by where it is mounted. */
int control_find_mount(struct control_peer *peer, const char *mount_point, struct vd_error *err);
/** Ask and wait for the answer; `request` is freed. An answer that says no is that error, and
 *  *reply (may be NULL) is set in any case where there is an answer. timeout_ms < 0: no end. */
int control_call(struct control_peer *peer, json_t *request, json_t **reply, int timeout_ms,
		 struct vd_error *err);
/** The same with content beside the request; NULL: none. */
int control_call_with(struct control_peer *peer, json_t *request,
		      const struct control_content *content, json_t **reply, int timeout_ms,
		      struct vd_error *err);
/** Wait for one more line on the same connection. */
int control_wait(struct control_peer *peer, json_t **reply, int timeout_ms, struct vd_error *err);
void control_peer_close(struct control_peer *peer);

#endif
