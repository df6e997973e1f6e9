#!/bin/bash
# SPDX-License-Identifier: MIT
# test-timeout: 600
# The image shrinks beneath XFS, beneath NTFS, beneath two partitions at once, and beneath a child of
# another image, each with files being verified, a load that verifies what it wrote, and trims.
# online.sh is the thorough one, on ext4. VD_LONG=1: with more data.
. "$(dirname "$0")/../support/mounts.sh"
need_loop
need jq fio mkfs.ext4 mkfs.xfs mkntfs ntfs-3g ntfsfix xfs_repair e2fsck fstrim sfdisk qemu-img
n_files=16 file_mb=4 more=0 seconds=600
[ -z "${VD_LONG:-}" ] || n_files=96 more=320
# A size in MiB, of which each file system gets more where there is more to be kept.
mb() { echo $(($1 + ${2:-1} * more))M; }

length() { stat -c %s "$1"; }
space() { echo $(($(stat -c %b "$1") * 512)); }
mount_type() { [ "$1" = ntfs ] && echo ntfs-3g || echo "$1"; }
has_kernel() { [ "$1" = ntfs ] || grep -qw "$1" /proc/filesystems || modprobe "$1" 2>/dev/null; }
make_fs()
{
	case $1 in
	ext4) mkfs.ext4 -q "$2" ;;
	xfs) mkfs.xfs -q -f "$2" ;;
	ntfs) mkntfs -q -Q "$2" ;;
	esac >/dev/null 2>err || fail "mkfs $1: $(cat err)"
}
check_fs()
{
	case $1 in
	ext4) e2fsck -fn "$2" ;;
	xfs) xfs_repair -n "$2" ;;
	ntfs) ntfsfix -n "$2" ;;
	esac >out 2>&1 || fail "$1 isn't clean: $(tail -5 out)"
}

# fill DIR SEED: files, of which every fourth stays; their sums to DIR.sums.
fill()
{
	local i
	for ((i = 0; i < n_files; i++)); do
		pattern $(($2 + i)) $((file_mb * 1048576)) >"$1/f$i"
	done
	sync -f "$1"
	thin_out "$1"
}
thin_out()
{
	local i
	for ((i = 0; i < n_files; i++)); do
		[ $((i % 4)) = 1 ] || rm -f "$1/f$i"
	done
	(cd "$1" && sha256sum f*) >"$1.sums"
	sync -f "$1"
}
# A load on DIR that reads back and checks all that it writes; its pid joins $loads.
start_load()
{
	mkdir "$1/fio"
	fio --name=verify --directory="$1/fio" --size=8M --rw=randwrite --bs=4k-64k --verify=crc32c \
		--do_verify=1 --verify_fatal=1 --verify_backlog=32 --loops=100000 --time_based \
		--runtime=$seconds --ioengine=psync --fallocate=none --overwrite=1 --fsync=64 --rate_iops=300 \
		--output="$1.fio" >/dev/null 2>&1 &
	loads+=($!)
	pids+=($!)
	wait_for does_io "${pids[-1]}" 1
	fstrim "$1" || fail "fstrim $1"
}
# While they run: it gets shorter, by moving.
shrink()
{
	local load moves was is
	was=$(length a.vhdx)
	expect 0 $V compact --json a.vhdx
	is=$(length a.vhdx)
	json '.[0].moves > 0'
	[ "$is" -lt $((was - n_files * file_mb * 1048576 / 4)) ] || fail "$1: from $was to $is"
	moves=$(jq '.[0].moves' out)
	sleep 0.3
	for load in "${loads[@]}"; do
		kill -0 "$load" || fail "$1: fio ended before the compaction did"
	done
	echo "count: $1: MiB of file before $((was >> 20))"
	echo "count: $1: MiB of file after $((is >> 20))"
	echo "count: $1: blocks moved under load $moves"
}
stop_loads()
{
	local load dir
	for load in "${loads[@]}"; do
		kill -INT "$load"
		wait "$load" || [ $? = 128 ] || fail "fio: $(tail -5 ./*.fio)"
	done
	for dir; do
		grep -q 'err= 0' "$dir.fio" || fail "fio: $(cat "$dir.fio")"
		if grep -q 'verify: bad\|verify failed' "$dir.fio"; then
			fail "fio: $(cat "$dir.fio")"
		fi
		rm -r "$dir/fio"
		(cd "$dir" && sha256sum --quiet -c "$dir.sums") || fail "$dir: other hashes"
	done
	loads=()
}
mount_at()
{
	mkdir -p "$3"
	mount -t "$(mount_type "$1")" "$2" "$3"
	mounts+=("$3")
}
finish()
{
	end
	expect 0 $V check -q a.vhdx
	rm a.vhdx
}
loads=()

for item in xfs:320 ntfs:160; do
	fs=${item%:*}
	has_kernel "$fs" || { echo "left out: the kernel has no $fs" && continue; }
	$V create a.vhdx "$(mb "${item#*:}")" --block-size 1M -q
	begin a.vhdx -o rw
	attach "$M/disk"
	make_fs "$fs" "$loop"
	mount_at "$fs" "$loop" "$T/fs"
	fill "$T/fs" 100
	start_load "$T/fs"
	shrink "$fs"
	stop_loads "$T/fs"
	umount "$T/fs"
	check_fs "$fs" "$loop"
	detach
	finish
done

# Two partitions, both in use.
if has_kernel xfs; then
	$V create a.vhdx $(mb 460 2) --block-size 1M -q
	begin a.vhdx -o rw
	printf 'label: gpt\nstart=2048, size=%s\nsize=%s\n' "$(mb 128)" "$(mb 320)" | sfdisk -q "$M/disk" >/dev/null 2>&1
	wait_for test -e "$M/p2"
	attach "$M/p1"
	first=$loop
	attach "$M/p2"
	second=$loop
	make_fs ext4 "$first"
	make_fs xfs "$second"
	mount_at ext4 "$first" "$T/one"
	mount_at xfs "$second" "$T/two"
	fill "$T/one" 200
	fill "$T/two" 300
	start_load "$T/one"
	start_load "$T/two"
	shrink "ext4 and xfs"
	stop_loads "$T/one" "$T/two"
	umount "$T/one"
	umount "$T/two"
	check_fs ext4 "$first"
	check_fs xfs "$second"
	detach "$first"
	detach "$second"
	# What QEMU reads is what the mount showed.
	sum=$(hash_of "$M/disk")
	qemu-img convert -U -f vhdx -O raw a.vhdx a.raw
	[ "$(hash_of a.raw)" = "$sum" ] || fail "QEMU reads something else"
	rm a.raw
	finish
fi

# A child: what it gives back of its own never shows what its parent has there.
$V create parent.vhdx $(mb 200) --block-size 1M -q
begin parent.vhdx -o rw
attach "$M/disk"
make_fs ext4 "$loop"
mount_at ext4 "$loop" "$T/fs"
for ((i = 0; i < n_files; i++)); do
	pattern $((400 + i)) $((file_mb * 1048576)) >"$T/fs/f$i"
done
umount "$T/fs"
detach
end
sum=$(hash_of parent.vhdx)
$V create a.vhdx --parent parent.vhdx -q
begin a.vhdx -o rw
attach "$M/disk"
mount_at ext4 "$loop" "$T/fs"
# Its own data, over what the parent has and beside it.
for ((i = 0; i < n_files; i++)); do
	pattern $((500 + i)) $((file_mb * 1048576)) | dd of="$T/fs/f$i" bs=1M conv=notrunc status=none
done
sync -f "$T/fs"
thin_out "$T/fs"
start_load "$T/fs"
shrink "a child"
stop_loads "$T/fs"
umount "$T/fs"
check_fs ext4 "$loop"
detach
finish
[ "$(hash_of parent.vhdx)" = "$sum" ] || fail "the parent was changed"
