/* SPDX-License-Identifier: MIT */
/* What the files of the FUSE door share. */
#ifndef VDFUSE_DOOR_OWN_H
#define VDFUSE_DOOR_OWN_H

#define FUSE_USE_VERSION 312

#include <fuse_lowlevel.h>
#include <pthread.h>

#include "door.h"

struct door {
	struct owner *owner;
	struct vd_disk *disk;
	struct fuse_session *session;
	struct door_opts opts;
	char *mount_point;
	dev_t device;      /* of the mount; 0: not known */
	struct stat image; /* for times */
	void (*ready)(void *user);
	void *ready_user;

	pthread_mutex_t lock;
	struct door_handle *handles; /* all that are open */
	char **names;                /* of files in meta/: their place here makes the inode */
	size_t n_names;
};

/* Inodes. The root is FUSE_ROOT_ID. */
#define INODE_INFO        2
#define INODE_META        3
#define INODE_ATTACHMENTS 4
#define INODE_WINDOW      UINT64_C(0x1000)      /* + the partition's number */
#define INODE_NAME        UINT64_C(0x200000000) /* + the place in door.names */
#define NAMES_MAX         4096

/** An open file: a window of the disk, or bytes as they were when it was opened. */
struct door_handle {
	struct owner_window *window;
	bool for_writing;
	_Atomic bool is_closing;
	char *bytes;
	size_t len;
	struct door_handle *next, **link; /* in door.handles */
};

static inline struct door *door_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}
static inline struct door_handle *door_handle(const struct fuse_file_info *fi)
{
	return (struct door_handle *)(uintptr_t)fi->fh;
}
struct owner_window *door_window(struct door *door, fuse_ino_t ino);
/** The errno for a VD_E*. */
int door_errno(int code);
/** Answer with the errno; what a person should hear of is logged. */
void door_refuse(fuse_req_t req, const char *what, int code, const struct vd_error *err);

/* door_node.c */
void door_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void door_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void door_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		  struct fuse_file_info *fi);
void door_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		  struct fuse_file_info *fi);
void door_statfs(fuse_req_t req, fuse_ino_t ino);

/* door_handle.c */
void door_open_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void door_flush_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void door_release_file(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/** Those that were open when the session ended. */
void door_free_handles(struct door *door);

/* door_read.c, door_write.c */
void door_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void door_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);
void door_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *bufs, off_t off,
		    struct fuse_file_info *fi);
void door_fsync(fuse_req_t req, fuse_ino_t ino, int only_data, struct fuse_file_info *fi);
void door_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
		    struct fuse_file_info *fi);

/* door_meta.c: documents and attachments as files */
struct door_meta_file {
	char name[300];
	uint64_t size;
};
/** File `i` of meta/ (or of meta/attachments/); false behind the last. */
bool door_meta_at(struct door *door, bool attachments, size_t i, struct door_meta_file *file);
/** By name. */
bool door_meta_find(struct door *door, bool attachments, const char *name,
		    struct door_meta_file *file);
/** The inode of a name; 0: there are too many. */
fuse_ino_t door_meta_inode(struct door *door, bool attachments, const char *name);
/** The other way: is it a file of meta/? `name` borrowed. */
bool door_meta_name(struct door *door, fuse_ino_t ino, bool *attachments, const char **name);
int door_meta_read(struct door *door, bool attachments, const char *name, char **bytes, size_t *len,
		   struct vd_error *err);
/** info.json. */
int door_info_read(struct door *door, char **bytes, size_t *len, struct vd_error *err);

#endif
