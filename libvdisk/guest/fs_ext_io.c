// SPDX-License-Identifier: MIT
/*
 * The io_manager through which libext2fs reads a stretch of a virtual disk: read-only, with a
 * small cache of single blocks (64 of them, whatever the disk's size), and a budget of reads that
 * ends whatever a broken file system makes the library follow.
 *
 * libext2fs names what it opens by a string and hands that on to the manager; the string is the
 * door's address, which never leaves this file.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "guest/fs_ext.h"

/* One request of libext2fs: a bitmap, a run of group descriptors, a block. */
#define REQUEST_MAX (256u << 20)

static struct ext_door *door_of(io_channel channel)
{
	return channel->private_data;
}

static errcode_t door_open(const char *name, int flags, io_channel *channel);

static errcode_t door_close(io_channel channel)
{
	if (--channel->refcount > 0)
		return 0;
	vd_free(channel);
	return 0;
}

/* The cache is for blocks of one size; another size empties it. */
static errcode_t door_set_block_size(io_channel channel, int block_size)
{
	struct ext_door *door = door_of(channel);

	if (block_size < 1024 || block_size > 65536)
		return EXT2_ET_UNEXPECTED_BLOCK_SIZE;
	channel->block_size = block_size;
	if (door->cache_block_size == (uint32_t)block_size)
		return 0;
	vd_free(door->cache);
	memset(door->lines, 0, sizeof(door->lines));
	door->cache_block_size = 0;
	door->cache = vd_malloc((size_t)block_size * EXT_CACHE_LINES);
	if (!door->cache)
		return EXT2_ET_NO_MEMORY;
	door->cache_block_size = (uint32_t)block_size;
	return 0;
}

static errcode_t read_bytes(struct ext_door *door, uint64_t offset, size_t len, void *data)
{
	int rc;

	if (!door->budget) {
		door->is_exhausted = true;
		return EXT2_ET_SHORT_READ;
	}
	door->budget--;
	rc = vd_guest_view_read(&door->view, data, len, offset, "a block of the file system",
				&door->why);
	door->failure = rc;
	return rc ? EXT2_ET_SHORT_READ : 0;
}

static errcode_t read_cached(struct ext_door *door, uint64_t block, uint64_t offset, void *data)
{
	size_t i = block % EXT_CACHE_LINES, size = door->cache_block_size;
	struct ext_line *line = &door->lines[i];
	uint8_t *bytes = door->cache + i * size;

	if (!line->is_valid || line->block != block) {
		errcode_t code;

		line->is_valid = false;
		code = read_bytes(door, offset, size, bytes);
		if (code)
			return code;
		line->is_valid = true;
		line->block = block;
	} else if (!door->budget) {
		/* A loop that stays within the cache has to end, too. */
		door->is_exhausted = true;
		return EXT2_ET_SHORT_READ;
	} else {
		door->budget--;
	}
	memcpy(data, bytes, size);
	return 0;
}

/* A negative count is a number of bytes. */
static errcode_t door_read64(io_channel channel, unsigned long long block, int count, void *data)
{
	struct ext_door *door = door_of(channel);
	uint64_t size = (uint64_t)channel->block_size, offset, len;

	len = count < 0 ? (uint64_t)(-(int64_t)count) : (uint64_t)count * size;
	if (len > REQUEST_MAX || __builtin_mul_overflow((uint64_t)block, size, &offset))
		return EXT2_ET_SHORT_READ;
	if (!len)
		return 0;
	if (count == 1 && door->cache_block_size == size)
		return read_cached(door, block, offset, data);
	return read_bytes(door, offset, (size_t)len, data);
}

static errcode_t door_read(io_channel channel, unsigned long block, int count, void *data)
{
	return door_read64(channel, block, count, data);
}

static errcode_t door_write64(io_channel channel, unsigned long long block, int count,
			      const void *data)
{
	(void)channel, (void)block, (void)count, (void)data;
	return EXT2_ET_RO_FILSYS;
}

static errcode_t door_write(io_channel channel, unsigned long block, int count, const void *data)
{
	return door_write64(channel, block, count, data);
}

static errcode_t door_write_byte(io_channel channel, unsigned long offset, int count,
				 const void *data)
{
	return door_write64(channel, offset, count, data);
}

static errcode_t door_flush(io_channel channel)
{
	(void)channel;
	return 0;
}

/* Const, though libext2fs's type doesn't say so: nobody writes to it. */
static struct struct_io_manager manager = {
    .magic = EXT2_ET_MAGIC_IO_MANAGER,
    .name = "vdisk",
    .open = door_open,
    .close = door_close,
    .set_blksize = door_set_block_size,
    .read_blk = door_read,
    .read_blk64 = door_read64,
    .write_blk = door_write,
    .write_blk64 = door_write64,
    .write_byte = door_write_byte,
    .flush = door_flush,
};

static errcode_t door_open(const char *name, int flags, io_channel *channel)
{
	struct ext_door *door;
	io_channel made;
	uintptr_t address;

	if (flags & IO_FLAG_RW)
		return EXT2_ET_RO_FILSYS;
	if (sscanf(name, "%" SCNxPTR, &address) != 1)
		return EXT2_ET_BAD_DEVICE_NAME;
	door = (struct ext_door *)address;
	made = vd_calloc(1, sizeof(*made));
	if (!made)
		return EXT2_ET_NO_MEMORY;
	made->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	made->manager = &manager;
	made->block_size = 1024;
	made->refcount = 1;
	made->private_data = door;
	*channel = made;
	return 0;
}

errcode_t ext_door_open(struct ext_door *door, ext2_filsys *fs)
{
	char name[32];

	snprintf(name, sizeof(name), "%" PRIxPTR, (uintptr_t)door);
	return ext2fs_open2(name, NULL, EXT2_FLAG_64BITS, 0, 0, &manager, fs);
}

void ext_door_free(struct ext_door *door)
{
	vd_free(door->cache);
	door->cache = NULL;
}

void ext_door_start(struct ext_door *door, uint64_t budget)
{
	door->budget = budget;
	door->is_exhausted = false;
	door->failure = 0;
}

/* Words for what libext2fs answers most; its own table of them is process-wide and unlocked. */
static const struct {
	errcode_t code;
	int answer;
	const char *text;
} answers[] = {
    {EXT2_ET_NO_MEMORY, VD_ENOMEM, "out of memory"},
    {EXT2_ET_FILE_NOT_FOUND, VD_ENOENT, "not found"},
    {EXT2_ET_NO_DIRECTORY, VD_EINVAL, "not a folder"},
    {EXT2_ET_UNSUPP_FEATURE, VD_EUNSUPPORTED, "a feature that libext2fs doesn't know"},
    {EXT2_ET_RO_UNSUPP_FEATURE, VD_EUNSUPPORTED, "a feature that libext2fs doesn't know"},
    {EXT2_ET_BAD_MAGIC, VD_ECORRUPT, "no superblock of ext2, ext3 or ext4"},
    {EXT2_ET_CORRUPT_SUPERBLOCK, VD_ECORRUPT, "the superblock contradicts itself"},
    {EXT2_ET_SB_CSUM_INVALID, VD_ECORRUPT, "the superblock's checksum is wrong"},
    {EXT2_ET_INODE_CSUM_INVALID, VD_ECORRUPT, "its checksum is wrong"},
    {EXT2_ET_DIR_CSUM_INVALID, VD_ECORRUPT, "a folder's checksum is wrong"},
    {EXT2_ET_EXTENT_CSUM_INVALID, VD_ECORRUPT, "an extent block's checksum is wrong"},
    {EXT2_ET_BLOCK_BITMAP_CSUM_INVALID, VD_ECORRUPT, "the block bitmap's checksum is wrong"},
    {EXT2_ET_GDESC_READ, VD_ECORRUPT, "the group descriptors can't be read"},
    {EXT2_ET_DIR_CORRUPTED, VD_ECORRUPT, "the folder's entries are broken"},
    {EXT2_ET_BAD_INODE_NUM, VD_ECORRUPT, "there is no such inode"},
    {EXT2_ET_INODE_CORRUPTED, VD_ECORRUPT, "the inode is broken"},
};

int ext_fail(const struct ext_door *door, errcode_t code, struct vd_error *err, const char *what,
	     uint64_t inode)
{
	if (door->is_exhausted)
		return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
				    "%s (inode %" PRIu64 "): more blocks to read than it can have",
				    what, inode);
	if (door->failure)
		return vd_error_set(err, door->failure, door->why.sys_errno, door->why.offset,
				    "%s (inode %" PRIu64 "): %s", what, inode, door->why.text);
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++)
		if (answers[i].code == code)
			return vd_error_set(err, answers[i].answer, 0, VD_NO_OFFSET,
					    "%s (inode %" PRIu64 "): %s", what, inode,
					    answers[i].text);
	return vd_error_set(err, VD_ECORRUPT, 0, VD_NO_OFFSET,
			    "%s (inode %" PRIu64 "): broken (libext2fs's code %ld)", what, inode,
			    (long)code);
}
