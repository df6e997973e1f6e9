#!/bin/bash
# SPDX-License-Identifier: MIT
# test-timeout: 300
# File systems made and used on loop devices over a mount, on the whole disk and on a partition: a
# verified load, a tree of files, trim, clean afterwards, the same after mounting again, and QEMU
# reads the same from the image.
. "$(dirname "$0")/../support/mounts.sh"
need_loop
need fio sfdisk qemu-img mkfs.ext4 mkfs.xfs mkfs.btrfs mkntfs ntfs-3g
sizes=(ext4:96M xfs:320M btrfs:160M ntfs:96M)

make_fs()
{
	case $1 in
	ext4) mkfs.ext4 -q "$2" ;;
	xfs) mkfs.xfs -q -f "$2" ;;
	btrfs) mkfs.btrfs -q -f "$2" ;;
	ntfs) mkntfs -q -Q "$2" ;;
	esac >/dev/null 2>err || fail "mkfs $1: $(cat err)"
}

check_fs()
{
	case $1 in
	ext4) e2fsck -fn "$2" ;;
	xfs) xfs_repair -n "$2" ;;
	btrfs) btrfs check "$2" ;;
	ntfs) ntfsfix -n "$2" ;;
	esac >out 2>&1 || fail "$1 isn't clean: $(tail -5 out)"
}

mount_type()
{
	[ "$1" = ntfs ] && echo ntfs-3g || echo "$1"
}

use_fs()
{
	mount_fs "$(mount_type "$1")" "$loop"
	fio --name=verify --directory="$T/fs" --size=4M --rw=randwrite --bs=4k-64k --fsync=32 \
		--verify=crc32c --do_verify=1 --verify_fatal=1 --numjobs=2 --group_reporting \
		--ioengine=psync --fallocate=none --output=fio.log >/dev/null 2>&1 ||
		fail "$1: fio: $(tail -5 fio.log)"
	mkdir "$T/fs/tree"
	cp -r "$TOP/libvdisk" "$T/fs/tree/"
	cp -r "$TOP/docs" "$T/fs/tree/"
	rm -r "$T/fs/tree/docs"
	fstrim "$T/fs" 2>/dev/null || true
	(cd "$T/fs" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >sums
	umount "$T/fs"
}

for item in "${sizes[@]}"; do
	fs=${item%:*} size=${item#*:}
	[ "$fs" = ntfs ] || grep -qw "$fs" /proc/filesystems || modprobe "$fs" 2>/dev/null || {
		echo "left out: the kernel has no $fs"
		continue
	}
	# The partition's turn with those that are quick.
	for place in disk $(case $fs in ext4 | ntfs) echo p1 ;; esac); do
		rm -f a.vhdx
		$V create a.vhdx "$((${size%M} + 4))M" -q
		begin a.vhdx -o rw
		if [ $place = p1 ]; then
			printf 'label: gpt\nstart=2048, size=%s\n' "$((${size%M} * 2048))" |
				sfdisk -q "$M/disk" >/dev/null 2>&1
			wait_for test -e "$M/p1"
		fi
		attach "$M/$place"
		make_fs "$fs" "$loop"
		use_fs "$fs"
		check_fs "$fs" "$loop"
		detach
		end
		$V check -q a.vhdx >out || fail "$fs on $place: $(cat out)"
		begin a.vhdx
		[ $place = disk ] || [ -e "$M/p1" ] || fail "the partition is gone"
		attach "$M/$place" -r
		mkdir -p "$T/fs"
		mount -t "$(mount_type "$fs")" -o ro "$loop" "$T/fs"
		(cd "$T/fs" && sha256sum --quiet -c "$T/sums") || fail "$fs on $place: other hashes"
		umount "$T/fs"
		detach
		qemu-img convert -U -O raw a.vhdx a.raw
		cmp "$M/disk" a.raw || fail "$fs on $place: QEMU reads something else"
		rm a.raw
		end
		echo "count: $fs on $place, files that read the same $(wc -l <sums)"
	done
done

# 4096-byte sectors.
rm -f a.vhdx
$V create a.vhdx 64M --sector-size 4096 -q
begin a.vhdx -o rw
attach "$M/disk" --sector-size 4096
[ "$(blockdev --getss "$loop")" = 4096 ]
make_fs ext4 "$loop"
mount_fs ext4 "$loop"
pattern 1 5000000 >"$T/fs/file"
umount "$T/fs"
check_fs ext4 "$loop"
detach
end
$V check -q a.vhdx >/dev/null
