/* SPDX-License-Identifier: MIT */
/* Opening images for their metadata, and what the commands on metadata share. */
#ifndef VDTOOL_METADATA_H
#define VDTOOL_METADATA_H

#include <jansson.h>

#include <vdisk/image.h>

#include "options/options.h"

/** Open for `purpose` with the options of `args` (--sidecar, of a source that is converted
 *  --source-sidecar, --actor, --parent-root, --source-format). Asks the policy if the purpose does
 *  (bench and create don't), as do the functions below. The history will call it the subcommand's
 * name. `disk_flags`: VD_OPEN_* beside those of the purpose. Says nothing. */
int tool_open_for(struct vd_image **out, const char *path, enum vd_purpose purpose,
		  const struct tool_args *args, uint32_t disk_flags, const char *parameters,
		  struct vd_error *err);
/** To look at the metadata, without a lock and without parents. Says nothing. */
int tool_meta_look(struct vd_image **out, const char *path, const struct tool_args *args,
		   struct vd_error *err);
/** The same to hand the metadata out. Says nothing. */
int tool_meta_hand_out(struct vd_image **out, const char *path, const struct tool_args *args,
		       struct vd_error *err);
/** To change the metadata and nothing else. Says nothing. */
int tool_meta_edit(struct vd_image **out, const char *path, const struct tool_args *args,
		   struct vd_error *err);
/** The same with the content of the disk, parents too, to be read. */
int tool_meta_scan(struct vd_image **out, const char *path, const struct tool_args *args,
		   struct vd_error *err);
/** Make the changes durable, with an entry of the history; nothing changed, nothing written. Warns
 *  on a sidecar that names another image. */
int tool_meta_commit(struct vd_image *image, const struct tool_args *args, const char *parameters,
		     struct vd_error *err);
/** Close after editing. Says what failed; returns the worse of that and `exit_code`. */
int tool_image_end(struct vd_image *image, const char *path, int exit_code);
/** --sidecar, or NULL. */
const char *tool_sidecar_dir(const struct tool_args *args);
/** Words joined by blanks; those that don't fit come as "...". */
void tool_join(char *text, size_t size, char *const *words, int n);

/** Run `one` on every operand that is an image; the worst exit code. An image that fails gets its
 *  JSON object with the error by `one` itself. */
int tool_each_image(const struct tool_args *args,
		    int (*one)(const char *path, const struct tool_args *args));
/** tool_fail, and in JSON the object {path, error}. */
int tool_fail_image(const char *path, const struct vd_error *err);

/** "document", "attachment", ... */
const char *tool_record_name(enum vd_record_type type);
/** A record with texts of its own: reading a document or a file may read the directory anew, and
 * what vd_meta_record gave is gone then. NULL: no memory, or no such record. To be freed by free().
 */
struct vd_record *tool_record_copy(struct vd_meta *meta, size_t i);
/** When a history has all links right, or shows nothing, and yet isn't what it was. */
#define TOOL_HISTORY_CUT "entries are missing at its end, or it was damaged"
/** Lower-case hex. `text` has room for 2 * len + 1. */
void tool_hex(const uint8_t *bytes, size_t len, char *text);
/** "2026-11-23T10:00:00Z". */
#define TOOL_TIME_TEXT 32
const char *tool_time_format(int64_t seconds, char text[TOOL_TIME_TEXT]);

/** A file whole, at most `max` bytes; "-" is stdin. *bytes is the caller's to free, a NUL follows.
 *  Says what is wrong; returns an exit code. */
int tool_slurp(const char *path, size_t max, char **bytes, size_t *len);
/** `text` to stdout: as it stands, or made harmless where stdout is a terminal. */
void tool_print_document(const char *text, size_t len);

/** The object `metadata` of inspect --json. */
json_t *tool_summary_to_json(struct vd_meta *meta);
/** The lines that inspect shows of the metadata. */
void tool_summary_print(struct vd_meta *meta);

/** What went by while a file was attached. */
struct tool_attached {
	char head[VD_META_DOCUMENT_MAX]; /**< its first bytes */
	size_t head_len;
	uint64_t length;
	int fd;
	int sys_errno;
};
/** Attach what `fd` has. NULL for `kind`: no document names it. */
int tool_attach(struct vd_meta *meta, const char *kind, const char *name, const char *media_type,
		int fd, struct tool_attached *seen, struct vd_error *err);
/** A private key travels with every copy of the image: its owner should know. */
void tool_warn_of_secrets(const char *file, const struct tool_attached *seen);
/** The next bytes of it, as a vd_source_fn gives them. `user`: a struct tool_attached. */
int64_t tool_attached_read(void *user, void *buf, size_t len, struct vd_error *err);
/** For vd_meta_extract: to the descriptor that `user`, an int *, points at; or only to see whether
 *  it can be read. */
int tool_extract_to_fd(void *user, const void *buf, size_t len, struct vd_error *err);
int tool_extract_nowhere(void *user, const void *buf, size_t len, struct vd_error *err);
/** By the end of the name; "application/octet-stream" if unknown. */
const char *tool_media_type(const char *name);
/** A relative path without empty parts, "." or "..". */
bool tool_is_plain_path(const char *path);

#endif
