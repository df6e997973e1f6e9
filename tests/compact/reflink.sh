#!/bin/bash
# SPDX-License-Identifier: MIT
# On a file system that shares extents (XFS) a move copies nothing, and what a snapshot of the file
# shares is told. Elsewhere what is copied is called copied.
. "$(dirname "$0")/../support/mounts.sh"
need_loop
need jq mkfs.xfs
need_filesystem xfs

# make IMAGE: 40 blocks, of which every second pair was given back; more before them than behind.
make()
{
	local i
	$V create "$1" 64M --block-size 1M -q
	pattern 1 41943040 | $V write -q "$1"
	for ((i = 0; i < 32; i += 4)); do
		$V discard "$1" --offset ${i}M --length 2M -q
	done
	sum=$($V read "$1" | sha256sum)
}

truncate -s 320M xfs.raw
mkfs.xfs -q -m reflink=1 xfs.raw >/dev/null 2>err || skip "mkfs.xfs can't: $(head -1 err)"
attach xfs.raw
mount_fs xfs "$loop"
cd "$T/fs"
make a.vhdx
expect 0 $V compact --json a.vhdx
json '.[0] | .complete and .moves > 0 and .bytes_copied == 0 and .bytes_shared == .moves * 1048576'
json '.[0].shared_extents == 0'
expect 0 $V check -q a.vhdx
[ "$($V read a.vhdx | sha256sum)" = "$sum" ] || fail "other content"

# What the snapshot holds doesn't come back to the host, and it keeps what it had.
rm a.vhdx
make a.vhdx
cp --reflink=always a.vhdx snapshot.vhdx
expect 0 $V compact --json a.vhdx
json '.[0] | .complete and .bytes_copied == 0 and .shared_extents >= 20 * 1048576'
expect 0 $V compact a.vhdx
shows "shared with copies of the file: the host keeps these"
for image in a snapshot; do
	expect 0 $V check -q $image.vhdx
	[ "$($V read $image.vhdx | sha256sum)" = "$sum" ] || fail "$image: other content"
done
cd "$T"
umount "$T/fs"
detach

# Where nothing can be shared.
if [ "$(stat -f -c %T .)" = ext2/ext3 ] || [ "$(stat -f -c %T .)" = tmpfs ]; then
	make b.vhdx
	expect 0 $V compact --json b.vhdx
	json '.[0] | .moves > 0 and .bytes_shared == 0 and .bytes_copied == .moves * 1048576'
	expect 0 $V check -q b.vhdx
	[ "$($V read b.vhdx | sha256sum)" = "$sum" ] || fail "other content"
fi
