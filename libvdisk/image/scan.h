/* SPDX-License-Identifier: MIT */
/*
 * The scan: what an image tells of itself, read from its partitions and files without running
 * anything. Three steps that know each other only through struct vd_scan: look (scan_os.c,
 * scan_packages.c, scan_mounts.c, scan_windows.c), index (scan_files.c), and write it down
 * (scan_document.c).
 *
 * A guest's files are hostile. Sizes, lines and numbers of things are bounded here; texts become
 * valid UTF-8 without control characters before they are kept; what has another form than a field
 * takes is left out, and what isn't read is told.
 */
#ifndef VD_IMAGE_SCAN_H
#define VD_IMAGE_SCAN_H

#include <vdisk/guest.h>
#include <vdisk/image.h>

/** Bytes of a package database that are read. */
#define VD_SCAN_STATUS_MAX (64u << 20)
/** Of small files: os-release, fstab, one file of status.d. */
#define VD_SCAN_SMALL_MAX (256u << 10)
/** Package URLs as they stand in a document, which has 1 MiB for all; and what an element and its
 *  mark add to each. */
#define VD_SCAN_PURLS_MAX (840u << 10)
#define VD_SCAN_PURL_XML  44u
#define VD_SCAN_LINE_MAX  4096u

struct vd_scan_os {
	char distro[64]; /**< ID of os-release: the namespace of purls */
	char pretty[256];
	/* Fields os.* */
	char id[64], name[256], version[64], build[64], codename[64], edition[64], family[16];
	char arch[32], kernel[128], hostname[256];
};

/** A file system that can be read, or can't. */
struct vd_scan_fs {
	const struct vd_partition *partition;
	struct vd_guest_fs *guest; /**< NULL: isn't read */
	char mount[512];           /**< "" unknown */
};

/** Package URLs, each once, each with its NUL. */
struct vd_scan_purls {
	char *text;
	size_t len, size, n, n_left_out;
};

struct vd_scan {
	const struct vd_scan_opts *opts;
	struct vd_scan_result *result;
	struct vd_disk *disk;
	int64_t now;
	struct vd_layout *layout;
	struct vd_scan_fs *fs;
	size_t n_fs;
	struct vd_scan_fs *root; /**< one of fs, or NULL */
	struct vd_scan_os os;
	struct vd_scan_purls purls;
	bool has_packages; /**< a package database was read, even if it was empty */
};

/* scan_look.c: the disk. The scan is zeroed but for opts, result, disk and now. */
int vd_scan_look(struct vd_scan *scan, struct vd_error *err);
void vd_scan_free(struct vd_scan *scan);
/** Tell what couldn't be read. */
void vd_scan_tell(struct vd_scan *scan, const char *fmt, ...) VD_PRINTF(2, 3);
/** The same of a file that would have said more, with what reading it answered: that it isn't
 * there, or is no file, is no matter. */
void vd_scan_missed(struct vd_scan *scan, const char *path, int rc, const struct vd_error *why);
/** VD_ECANCELED if the caller wants no more. */
int vd_scan_progress(struct vd_scan *scan, const char *what, struct vd_error *err);

/* scan_os.c, scan_mounts.c, scan_packages.c: over the root file system. VD_ENOENT: not there.
 * Other errors end the scan; what is merely unreadable is told and left out. */
int vd_scan_read_os_release(struct vd_guest_fs *fs, struct vd_scan_os *os, struct vd_error *err);
void vd_scan_read_machine(struct vd_scan *scan);
void vd_scan_read_mounts(struct vd_scan *scan);
int vd_scan_read_packages(struct vd_scan *scan, struct vd_error *err);

/* scan_text.c */
/** One line of text: valid UTF-8, no control characters, blanks as the xs:token has them. */
void vd_scan_clean(char *to, size_t size, const char *text, size_t len);
/** It has the form of the schemas' types "name" and "version". */
bool vd_scan_is_name(const char *text);
bool vd_scan_is_version(const char *text);
/** The value of KEY= in the style of os-release (quotes, backslashes), cleaned; false: not there.
 */
bool vd_scan_shell_value(const char *text, const char *key, char *to, size_t size);
/** The short id that libosinfo gives a guest: "debian12". */
void vd_scan_osinfo_id(const char *distro, const char *version, const char *name, char *to,
		       size_t size);
/** Package URL; parts may be "". False: it isn't one (no name, too long). */
bool vd_scan_purl(char *to, size_t size, const char *type, const char *space, const char *name,
		  const char *version, const char *arch);
/** Keep a package URL; VD_ENOMEM. Beyond the bound they are counted only. */
int vd_scan_keep_purl(struct vd_scan *scan, const char *purl, struct vd_error *err);

/** A file of the guest, line by line. Memory for a piece of it; longer lines are cut. */
struct vd_scan_lines {
	struct vd_guest_fs *fs;
	const char *path;
	uint64_t offset, end; /**< of what is read next; where reading ends */
	size_t have, at;
	char line[VD_SCAN_LINE_MAX];
	char piece[65536];
};
/** *is_cut: the file is longer than `max`, the rest isn't read. The caller frees *out by vd_free.
 */
int vd_scan_lines_open(struct vd_scan_lines **out, struct vd_guest_fs *fs, const char *path,
		       uint64_t max, bool *is_cut, struct vd_error *err);
/** The next line, without its end; 1, or 0 at the end, or an error. A NUL ends a line too. */
int vd_scan_next_line(struct vd_scan_lines *lines, char **line, struct vd_error *err);

/* scan_files.c: all files into the index, and the index into the metadata. */
int vd_scan_index_files(struct vd_scan *scan, struct vd_meta *meta, struct vd_error *err);

/* scan_document.c: XML of what was found, in the vocabulary of the schemas; vd_free. */
int vd_scan_content(const struct vd_scan *scan, char **xml, size_t *len, struct vd_error *err);
int vd_scan_patches(const struct vd_scan *scan, char **xml, size_t *len, struct vd_error *err);

#endif
