// SPDX-License-Identifier: MIT
/*
 * Files of ext2, ext3 and ext4, by libext2fs (LGPL-2, e2fsprogs).
 *
 * The journal is never replayed: what it holds beyond the blocks isn't seen, and is_dirty says so.
 * Before the library sees a superblock, what sizes its tables is bounded here; checksums are
 * verified where the file system has them; the rest is kept in bounds by the budget of reads
 * (fs_ext.h). Files that the guest encrypted are refused, not shown as noise.
 */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "guest/fs_ext.h"
#include "guest/guest_handle.h"

/* Group descriptors are held in memory: 64 TiB of 4 KiB blocks need 32 MiB. */
#define DESCRIPTORS_MAX (128u << 20)
/* Reads that one folder or look-up may cost: 4 GiB of folder. */
#define FOLDER_BUDGET (1u << 20)
#define ENTRIES_MAX   (4u << 20)

static int check_superblock(const struct vd_guest_view *view, struct vd_error *err)
{
	struct ext2_super_block sb;
	uint64_t blocks, groups;
	uint32_t per_group;
	int rc;

	rc = vd_guest_view_read(view, &sb, sizeof(sb), SUPERBLOCK_OFFSET, "superblock", err);
	if (rc)
		return rc;
	if (ext2fs_le16_to_cpu(sb.s_magic) != EXT2_SUPER_MAGIC)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "no superblock of ext2, ext3 or ext4");
	blocks = ext2fs_le32_to_cpu(sb.s_blocks_count);
	if (ext2fs_le32_to_cpu(sb.s_feature_incompat) & EXT4_FEATURE_INCOMPAT_64BIT)
		blocks |= (uint64_t)ext2fs_le32_to_cpu(sb.s_blocks_count_hi) << 32;
	per_group = ext2fs_le32_to_cpu(sb.s_blocks_per_group);
	groups = per_group ? vd_div_up(blocks, per_group) : UINT64_MAX;
	if (groups > DESCRIPTORS_MAX / 64)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "superblock: %" PRIu64 " blocks in groups of %" PRIu32
				    " (at most %u groups are read)",
				    blocks, per_group, DESCRIPTORS_MAX / 64);
	return 0;
}

static bool is_dirty(ext2_filsys fs)
{
	return !(fs->super->s_state & EXT2_VALID_FS) || (fs->super->s_state & EXT2_ERROR_FS) ||
	       ext2fs_has_feature_journal_needs_recovery(fs->super) ||
	       (fs->super->s_feature_ro_compat & EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT);
}

static void close_file(struct ext_fs *ext)
{
	if (ext->file)
		ext2fs_file_close(ext->file);
	ext->file = NULL;
}

static void ext_close(void *state)
{
	struct ext_fs *ext = state;

	if (!ext)
		return;
	close_file(ext);
	if (ext->fs)
		ext2fs_free(ext->fs);
	ext_door_free(&ext->door);
	vd_free(ext);
}

static int ext_open(void **state, const struct vd_guest_view *view, struct vd_filesystem *fs,
		    uint64_t *root, struct vd_error *err)
{
	struct ext_fs *ext;
	errcode_t code;
	int rc;

	rc = check_superblock(view, err);
	if (rc)
		return rc;
	ext = vd_calloc(1, sizeof(*ext));
	if (!ext)
		return vd_no_memory(err, sizeof(*ext), "a file system");
	ext->door.view = *view;
	ext_door_start(&ext->door, FOLDER_BUDGET);
	code = ext_door_open(&ext->door, &ext->fs);
	if (code) {
		rc = ext_fail(&ext->door, code, err, "superblock", 0);
		ext->fs = NULL;
		ext_close(ext);
		return rc;
	}
	ext->is_dirty = is_dirty(ext->fs);
	fs->is_dirty = fs->is_dirty || ext->is_dirty;
	*root = EXT2_ROOT_INO;
	*state = ext;
	return 0;
}

static int read_inode(struct ext_fs *ext, uint64_t number, struct ext2_inode_large *inode,
		      struct vd_error *err)
{
	errcode_t code;

	memset(inode, 0, sizeof(*inode));
	if (!number || number > ext->fs->super->s_inodes_count)
		return ext_fail(&ext->door, EXT2_ET_BAD_INODE_NUM, err, "inode", number);
	code = ext2fs_read_inode_full(ext->fs, (ext2_ino_t)number, (struct ext2_inode *)inode,
				      sizeof(*inode));
	return code ? ext_fail(&ext->door, code, err, "inode", number) : 0;
}

static enum vd_file_type type_of_mode(uint16_t mode)
{
	if (LINUX_S_ISREG(mode))
		return VD_FILE_REGULAR;
	if (LINUX_S_ISDIR(mode))
		return VD_FILE_FOLDER;
	return LINUX_S_ISLNK(mode) ? VD_FILE_SYMLINK : VD_FILE_OTHER;
}

static int ext_info(void *state, uint64_t number, struct vd_file_info *info, struct vd_error *err)
{
	struct ext_fs *ext = state;
	struct ext2_inode_large inode;
	int rc;

	ext_door_start(&ext->door, 64);
	rc = read_inode(ext, number, &inode, err);
	if (rc)
		return rc;
	memset(info, 0, sizeof(*info));
	info->type = type_of_mode(inode.i_mode);
	info->size = info->type == VD_FILE_OTHER ? 0 : EXT2_I_SIZE(&inode);
	info->mtime = (int32_t)inode.i_mtime;
	/* Two more bits of the seconds stand beside the nanoseconds. */
	if (EXT2_INODE_SIZE(ext->fs->super) > EXT2_GOOD_OLD_INODE_SIZE && inode.i_extra_isize >= 12)
		info->mtime += (int64_t)(inode.i_mtime_extra & 3) << 32;
	info->mode = inode.i_mode & 07777u;
	info->inode = number;
	return 0;
}

/* ---- content ---- */

static int open_file(struct ext_fs *ext, uint64_t number, struct vd_error *err)
{
	struct ext2_inode_large inode;
	errcode_t code;
	int rc;

	if (ext->file && ext->file_ino == number)
		return 0;
	close_file(ext);
	rc = read_inode(ext, number, &inode, err);
	if (rc)
		return rc;
	if (inode.i_flags & EXT4_ENCRYPT_FL)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "inode %" PRIu64 ": the guest encrypted this file", number);
	code = ext2fs_file_open(ext->fs, (ext2_ino_t)number, 0, &ext->file);
	if (code) {
		ext->file = NULL;
		return ext_fail(&ext->door, code, err, "file", number);
	}
	ext->file_ino = (ext2_ino_t)number;
	ext->file_size = EXT2_I_SIZE(&inode);
	return 0;
}

static int ext_read(void *state, uint64_t number, void *buf, size_t len, uint64_t offset,
		    size_t *n_read, struct vd_error *err)
{
	struct ext_fs *ext = state;
	errcode_t code;
	int rc;

	/* A block needs its way down a tree of extents (five levels) or of indirect blocks. */
	ext_door_start(&ext->door, 64 + 16 * (uint64_t)(len / ext->fs->blocksize + 1));
	rc = open_file(ext, number, err);
	if (rc)
		return rc;
	*n_read = 0;
	if (offset >= ext->file_size)
		return 0;
	len = (size_t)vd_min64(len, ext->file_size - offset);
	code = ext2fs_file_llseek(ext->file, offset, EXT2_SEEK_SET, NULL);
	while (!code && *n_read < len) {
		unsigned int piece = (unsigned int)vd_min64(len - *n_read, 1u << 20), got = 0;

		code = ext2fs_file_read(ext->file, (uint8_t *)buf + *n_read, piece, &got);
		if (!code && !got)
			return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
					    "inode %" PRIu64 ": its data ends before its size",
					    number);
		*n_read += got;
	}
	if (code) {
		rc = ext_fail(&ext->door, code, err, "file", number);
		close_file(ext);
	}
	return rc;
}

static int ext_readlink(void *state, uint64_t number, char *target, size_t size,
			struct vd_error *err)
{
	struct ext_fs *ext = state;
	struct ext2_inode_large inode;
	uint64_t len;
	size_t n;
	int rc;

	ext_door_start(&ext->door, 64);
	rc = read_inode(ext, number, &inode, err);
	if (rc)
		return rc;
	if (!LINUX_S_ISLNK(inode.i_mode))
		return vd_error_set(err, VD_EINVAL, 0, VD_NO_OFFSET,
				    "inode %" PRIu64 " isn't a symbolic link", number);
	len = EXT2_I_SIZE(&inode);
	if (len >= size)
		return vd_error_set(err, VD_ERANGE, 0, VD_NO_OFFSET,
				    "inode %" PRIu64 ": a link of %" PRIu64 " bytes, room for %zu",
				    number, len, size);
	if (ext2fs_is_fast_symlink((struct ext2_inode *)&inode)) {
		memcpy(target, inode.i_block, (size_t)len);
	} else {
		rc = ext_read(ext, number, target, (size_t)len, 0, &n, err);
		if (rc)
			return rc;
	}
	target[len] = '\0';
	return 0;
}

/* ---- folders ---- */

struct listing {
	struct ext_door *door;
	vd_guest_entry_fn fn;
	void *user;
	uint64_t n_entries;
	int answer;
	bool is_too_long;
};

static int list_entry(ext2_ino_t folder, int entry, struct ext2_dir_entry *dirent, int offset,
		      int block_size, char *buf, void *user)
{
	static const enum vd_file_type types[] = {
	    [EXT2_FT_REG_FILE] = VD_FILE_REGULAR,
	    [EXT2_FT_DIR] = VD_FILE_FOLDER,
	    [EXT2_FT_SYMLINK] = VD_FILE_SYMLINK,
	};
	struct listing *listing = user;
	char name[VD_GUEST_NAME_MAX];
	size_t len = (size_t)ext2fs_dirent_name_len(dirent);
	unsigned int type = (unsigned int)ext2fs_dirent_file_type(dirent);
	uint64_t budget;

	(void)folder, (void)entry, (void)offset, (void)block_size, (void)buf;
	if (++listing->n_entries > ENTRIES_MAX) {
		listing->is_too_long = true;
		return DIRENT_ABORT;
	}
	if (!dirent->inode || !vd_guest_name(name, dirent->name, len))
		return 0;
	/* What fn looks at has budgets of its own. */
	budget = listing->door->budget;
	listing->answer =
	    listing->fn(listing->user, name, dirent->inode,
			type < sizeof(types) / sizeof(types[0]) ? types[type] : VD_FILE_OTHER);
	ext_door_start(listing->door, budget);
	return listing->answer ? DIRENT_ABORT : 0;
}

static int ext_list(void *state, uint64_t folder, vd_guest_entry_fn fn, void *user,
		    struct vd_error *err)
{
	struct ext_fs *ext = state;
	struct listing listing = {.door = &ext->door, .fn = fn, .user = user};
	struct ext2_inode_large inode;
	errcode_t code;
	int rc;

	ext_door_start(&ext->door, FOLDER_BUDGET);
	rc = read_inode(ext, folder, &inode, err);
	if (rc)
		return rc;
	if (inode.i_flags & EXT4_ENCRYPT_FL)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "inode %" PRIu64 ": the guest encrypted this folder", folder);
	code = ext2fs_dir_iterate2(ext->fs, (ext2_ino_t)folder, DIRENT_FLAG_INCLUDE_EMPTY, NULL,
				   list_entry, &listing);
	if (listing.answer)
		return listing.answer;
	if (listing.is_too_long)
		return vd_error_set(err, VD_EUNSUPPORTED, 0, VD_NO_OFFSET,
				    "inode %" PRIu64 ": a folder of more than %u entries", folder,
				    ENTRIES_MAX);
	return code ? ext_fail(&ext->door, code, err, "folder", folder) : 0;
}

static int ext_lookup(void *state, uint64_t folder, const char *name, uint64_t *inode,
		      struct vd_error *err)
{
	struct ext_fs *ext = state;
	ext2_ino_t found;
	errcode_t code;

	ext_door_start(&ext->door, FOLDER_BUDGET);
	if (!folder || folder > ext->fs->super->s_inodes_count)
		return ext_fail(&ext->door, EXT2_ET_BAD_INODE_NUM, err, "folder", folder);
	code = ext2fs_lookup(ext->fs, (ext2_ino_t)folder, name, (int)strlen(name), NULL, &found);
	if (code)
		return ext_fail(&ext->door, code, err, "folder", folder);
	*inode = found;
	return 0;
}

static const char *const ext_types[] = {"ext2", "ext3", "ext4", NULL};

const struct vd_guest_fs_ops vd_guest_ext_ops = {
    .types = ext_types,
    .open = ext_open,
    .close = ext_close,
    .lookup = ext_lookup,
    .info = ext_info,
    .readlink = ext_readlink,
    .read = ext_read,
    .list = ext_list,
    .free_space = ext_free_space,
};
