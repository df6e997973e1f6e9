/* SPDX-License-Identifier: MIT */
/*
 * See walk.h. One folder at a time is read whole, its names sorted; of the folders above it their
 * names and a descriptor stay, so memory grows with the depth, not with the number of images.
 * Each step goes down from a descriptor without following links: what somebody else renames
 * meanwhile leads nowhere else. A folder that stands above itself (bind mounts) is told.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "walk.h"

#define DEPTH_MAX    128
#define SIDECAR      ".vdmeta"
#define VHDX_MIN     (1 << 20) /* headers alone take a MiB */
#define NO_MEMORY    (-1)
#define N_OF(things) (sizeof(things) / sizeof((things)[0]))

/** A folder that is being walked. */
struct level {
	int fd;
	dev_t dev;
	ino_t ino;
	char *names;  /* each is its kind (a DT_*), the name, a NUL */
	char **order; /* points behind the kind; sorted */
	size_t n, next;
	size_t path_len; /* of walk.path, with a slash at its end */
};

struct walk {
	const struct walk_opts *opts;
	walk_image_fn fn;
	walk_problem_fn problem;
	void *user;
	dev_t dev; /* of the operand */
	char path[PATH_MAX];
	struct level levels[DEPTH_MAX];
	size_t n_levels;
};

static const char *ending(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot != name ? dot : "";
}

static bool is_among(const char *end, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(end, list[i]) == 0)
			return true;
	}
	return false;
}

/** Ours while they are written. */
static bool is_temporary(const char *name)
{
	return name[0] == '.' && strstr(name, ".tmp") != NULL;
}

bool walk_is_image_name(const char *name)
{
	static const char *const images[] = {".vhdx", ".avhdx", ".raw", ".img"};

	return is_among(ending(name), images, N_OF(images)) && !is_temporary(name);
}

/** Not worth a look into it: what else lies beside images, and disks of formats that can't be read.
 *  (With a sidecar they are images all the same.) */
static bool is_other_name(const char *name)
{
	static const char *const others[] = {
	    SIDECAR,   ".vhd",    ".vhds", ".qcow2", ".qcow",   ".qed",  ".vmdk", ".vdi", ".iso",
	    ".txt",    ".log",    ".xml",  ".json",  ".yaml",   ".conf", ".md",   ".db",  ".sum",
	    ".sha256", ".gz",     ".xz",   ".zst",   ".bz2",    ".zip",  ".tar",  ".tgz", ".deb",
	    ".rpm",    ".sqlite", ".html", ".pdf",   ".c",      ".h",    ".o",    ".a",   ".so",
	    ".py",     ".sh",     ".part", ".swp",   ".db-wal", ".lock", ".sock", ".pid",
	};

	return is_among(ending(name), others, N_OF(others)) || is_temporary(name);
}

static bool is_sidecar_name(const char *name)
{
	return strcasecmp(ending(name), SIDECAR) == 0;
}

static void tell(struct walk *walk, const char *path, int error)
{
	if (walk->problem)
		walk->problem(walk->user, path, error);
}

static void count(struct walk *walk)
{
	if (walk->opts->n_seen)
		__atomic_fetch_add(walk->opts->n_seen, 1, __ATOMIC_RELAXED);
}

static bool is_excluded(const char *const *globs, size_t n, const char *path, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (fnmatch(globs[i], strchr(globs[i], '/') ? path : name, 0) == 0)
			return true;
	}
	return false;
}

bool walk_is_left_out(const char *path, size_t from, const char *const *excludes, size_t n)
{
	size_t len = strlen(path), start, end;
	char part[PATH_MAX];

	if (!n || len >= sizeof(part))
		return false;
	for (start = from; start < len; start = end) {
		start += strspn(path + start, "/");
		end = start + strcspn(path + start, "/");
		memcpy(part, path, end);
		part[end] = '\0';
		if (end > start && is_excluded(excludes, n, part, part + start))
			return true;
	}
	return false;
}

/* ---- the names of a folder ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/** Pointers to the names in the `len` bytes of level->names. */
static int sort_names(struct level *level, size_t len)
{
	char *at = level->names;

	level->order = malloc((level->n + 1) * sizeof(*level->order));
	if (!level->order)
		return NO_MEMORY;
	for (size_t i = 0; i < level->n && at < level->names + len; i++) {
		level->order[i] = at + 1;
		at += strlen(at + 1) + 2;
	}
	qsort(level->order, level->n, sizeof(*level->order), by_name);
	return 0;
}

static bool is_of_interest(const struct dirent *entry)
{
	const char *name = entry->d_name;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	return entry->d_type == DT_DIR || entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN;
}

/** All that could matter, into the level. Returns 0, NO_MEMORY, or an errno. */
static int read_names(struct walk *walk, struct level *level)
{
	int copy = fcntl(level->fd, F_DUPFD_CLOEXEC, 0), error = 0;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	size_t len = 0, room = 0;

	if (!dir) {
		error = errno;
		if (copy >= 0)
			close(copy);
		return error;
	}
	for (;;) {
		const struct dirent *entry;
		size_t need;

		errno = 0;
		entry = readdir(dir);
		if (!entry)
			break;
		count(walk);
		if (!is_of_interest(entry))
			continue;
		need = strlen(entry->d_name) + 2;
		if (len + need > room) {
			char *more = realloc(level->names, 2 * room + 4096);

			if (!more) {
				closedir(dir);
				return NO_MEMORY;
			}
			level->names = more;
			room = 2 * room + 4096;
		}
		level->names[len] = (char)entry->d_type;
		memcpy(level->names + len + 1, entry->d_name, need - 1);
		len += need;
		level->n++;
	}
	error = errno;
	closedir(dir);
	if (sort_names(level, len))
		return NO_MEMORY;
	return error;
}

static bool has_name(const struct level *level, const char *name)
{
	return bsearch(&name, level->order, level->n, sizeof(*level->order), by_name) != NULL;
}

/* ---- one file ---- */

/** One small read; what isn't a regular file any more isn't waited for. */
static bool has_signature(int folder, const char *name)
{
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	char bytes[8];
	bool has = false;
	struct stat st;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		has = pread(fd, bytes, sizeof(bytes), 0) == sizeof(bytes) &&
		      memcmp(bytes, "vhdxfile", sizeof(bytes)) == 0;
	close(fd);
	return has;
}

static int tell_image(struct walk *walk, int folder, const char *name, struct walk_image *image)
{
	char beside[NAME_MAX + sizeof(SIDECAR)];

	image->path = walk->path;
	if (image->has_sidecar) {
		size_t len = strlen(name);

		memcpy(beside, name, len);
		strcpy(beside + len, SIDECAR);
		image->has_sidecar =
		    fstatat(folder, beside, &image->sidecar, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(image->sidecar.st_mode);
	}
	return walk->fn(walk->user, image);
}

/** A file of a folder: is it an image? */
static int look_at_file(struct walk *walk, const struct level *level, const char *name)
{
	bool is_image = walk_is_image_name(name), is_other = is_other_name(name);
	struct walk_image image = {0};
	char beside[NAME_MAX + sizeof(SIDECAR)];
	size_t len = strlen(name);

	if (is_sidecar_name(name) || is_temporary(name) || len > NAME_MAX)
		return 0;
	memcpy(beside, name, len);
	strcpy(beside + len, SIDECAR);
	image.has_sidecar = has_name(level, beside);
	if (!is_image && is_other && !image.has_sidecar)
		return 0;
	if (fstatat(level->fd, name, &image.st, AT_SYMLINK_NOFOLLOW) != 0) {
		if (errno != ENOENT) /* gone meanwhile */
			tell(walk, walk->path, errno);
		return 0;
	}
	if (!S_ISREG(image.st.st_mode))
		return 0;
	if (!is_image && !image.has_sidecar)
		is_image = image.st.st_size >= VHDX_MIN && has_signature(level->fd, name);
	return is_image || image.has_sidecar ? tell_image(walk, level->fd, name, &image) : 0;
}

/* ---- folders ---- */

static void leave(struct walk *walk)
{
	struct level *level = &walk->levels[--walk->n_levels];

	free(level->names);
	free(level->order);
	close(level->fd);
}

static bool is_above(const struct walk *walk, const struct stat *st)
{
	for (size_t i = 0; i < walk->n_levels; i++) {
		if (walk->levels[i].dev == st->st_dev && walk->levels[i].ino == st->st_ino)
			return true;
	}
	return false;
}

/** Go into the folder that is open as `fd`, which is taken over; walk.path is its path. */
static int enter(struct walk *walk, int fd, bool is_operand)
{
	struct level *level = &walk->levels[walk->n_levels];
	size_t len = strlen(walk->path);
	struct stat st;
	int error = 0;

	if (fstat(fd, &st) != 0)
		error = errno;
	else if (walk->n_levels == DEPTH_MAX || is_above(walk, &st))
		error = ELOOP;
	else if (len + 2 > sizeof(walk->path))
		error = ENAMETOOLONG;
	if (is_operand && !error)
		walk->dev = st.st_dev;
	if (error || (walk->opts->stays_on_fs && st.st_dev != walk->dev)) {
		close(fd);
		if (error)
			tell(walk, walk->path, error);
		return 0;
	}
	*level = (struct level){.fd = fd, .dev = st.st_dev, .ino = st.st_ino};
	walk->n_levels++;
	error = read_names(walk, level);
	if (error > 0)
		tell(walk, walk->path, error); /* what was read until then is walked */
	if (len && walk->path[len - 1] != '/')
		strcpy(walk->path + len++, "/");
	level->path_len = len;
	return error == NO_MEMORY ? NO_MEMORY : 0;
}

static bool is_folder(const struct level *level, const char *name)
{
	struct stat st;

	if (name[-1] != DT_UNKNOWN)
		return name[-1] == DT_DIR;
	return fstatat(level->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int look_at_entry(struct walk *walk, struct level *level, const char *name)
{
	size_t len = strlen(name);
	int fd;

	count(walk);
	walk->path[level->path_len] = '\0';
	if (level->path_len + len >= sizeof(walk->path)) {
		tell(walk, walk->path, ENAMETOOLONG);
		return 0;
	}
	memcpy(walk->path + level->path_len, name, len + 1);
	if (is_excluded(walk->opts->excludes, walk->opts->n_excludes, walk->path, name))
		return 0;
	if (!is_folder(level, name))
		return look_at_file(walk, level, name);
	fd = openat(level->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		return enter(walk, fd, false);
	if (errno != ENOENT)
		tell(walk, walk->path, errno);
	return 0;
}

/** The folder that was entered, and all below. */
static int walk_down(struct walk *walk)
{
	int rc = 0;

	while (walk->n_levels && !rc) {
		struct level *level = &walk->levels[walk->n_levels - 1];

		if (level->next < level->n)
			rc = look_at_entry(walk, level, level->order[level->next++]);
		else
			leave(walk);
	}
	while (walk->n_levels)
		leave(walk);
	return rc;
}

/** What is named itself is an image whatever its name, if it isn't a folder. */
static int walk_operand(struct walk *walk, const char *path)
{
	struct walk_image image = {.path = path};
	char beside[PATH_MAX + sizeof(SIDECAR)];
	int fd, rc;

	count(walk);
	if (strlen(path) >= sizeof(walk->path) - 1) {
		tell(walk, path, ENAMETOOLONG);
		return 0;
	}
	if (stat(path, &image.st) != 0) {
		tell(walk, path, errno);
		return 0;
	}
	strcpy(walk->path, path);
	if (!S_ISDIR(image.st.st_mode)) {
		strcpy(beside, path);
		strcat(beside, SIDECAR);
		image.has_sidecar =
		    lstat(beside, &image.sidecar) == 0 && S_ISREG(image.sidecar.st_mode);
		return walk->fn(walk->user, &image);
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		tell(walk, path, errno);
		return 0;
	}
	rc = enter(walk, fd, true);
	return rc ? rc : walk_down(walk);
}

int walk_tree(const char *const *paths, size_t n_paths, const struct walk_opts *opts,
	      walk_image_fn fn, walk_problem_fn problem, void *user)
{
	static const struct walk_opts usual;
	struct walk *walk = calloc(1, sizeof(*walk));
	int rc = 0;

	if (!walk)
		return NO_MEMORY;
	walk->opts = opts ? opts : &usual;
	walk->fn = fn;
	walk->problem = problem;
	walk->user = user;
	for (size_t i = 0; i < n_paths && !rc; i++)
		rc = walk_operand(walk, paths[i]);
	while (walk->n_levels)
		leave(walk);
	free(walk);
	return rc;
}
