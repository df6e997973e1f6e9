#!/bin/bash
# SPDX-License-Identifier: MIT
# compact --free-space on random file systems: made with random options, filled with random files of
# which random ones are deleted, cut or punched. It never changes a byte of what they hold, and gives
# back what they don't. One whose journal or dirty bit says that it was in use is left alone, whole.
# VD_ROUNDS: how many of each kind; VD_LONG=1: 40, others each time. VD_SEED: the one that failed.
. "$(dirname "$0")/../support/mounts.sh"
need jq mkfs.ext4 e2fsck debugfs mkfs.vfat fsck.vfat mcopy mdel
rounds=${VD_ROUNDS:-$([ -n "${VD_LONG:-}" ] && echo 40 || echo 3)}
seed=${VD_SEED:-${VD_LONG:+$RANDOM}}
seed=${seed:-7}
echo "VD_SEED=$seed"
# Only in this shell it goes on from there: no subshell may take a number.
RANDOM=$seed
has_loop=
[ "$(id -u)" = 0 ] && command -v losetup >/dev/null && losetup -f >/dev/null 2>&1 &&
	grep -qw ext4 /proc/filesystems && has_loop=1
trouble() { fail "VD_SEED=$seed, $what: $*"; }

# one_of WORD...: one of them is in $one. big: a number is in $number.
one_of()
{
	local at=$((1 + RANDOM % $#))
	one=${!at}
}
big() { number=$((RANDOM * 32768 + RANDOM)); }

# play DIR: files come, change and go. It may be full.
play()
{
	local i n=$((10 + RANDOM % 20)) name
	for ((i = 0; i < n; i++)); do
		name=$1/d$((RANDOM % 4))
		mkdir -p "$name"
		big
		one_of 3000 70000 1500000 3000000
		pattern $((RANDOM + 1)) $((number % one)) 2>/dev/null >"$name/f$i" || true
		big
		case $((RANDOM % 8)) in
		0) truncate -s $((number % 3000000)) "$name/f$i" ;;
		1) [ -z "$punches" ] || fallocate -p -o $((RANDOM * 16)) -l $((1 + RANDOM * 8)) "$name/f$i" ;;
		2) pattern 7 5000 | dd of="$name/f$i" bs=1 seek=$((number % 2000000)) conv=notrunc 2>/dev/null || true ;;
		esac
	done
	# What only was in memory leaves nothing behind.
	pattern 5 6000000 2>/dev/null >"$1/gone" || true
	sync -f "$1"
	rm "$1/gone"
	for name in "$1"/d*/f*; do
		[ $((RANDOM % 2)) = 0 ] || rm -f "$name"
	done
}
sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 -r sha256sum); }

# used_up FILE: as a VHDX it is compacted; what comes back is in back.raw.
used_up()
{
	rm -f a.vhdx back.raw
	one_of 1M 1M 2M
	$V convert -q --block-size $one "$1" a.vhdx
	expect 0 $V compact --free-space --json a.vhdx
	jq -e '.[0] | .complete and .file_systems[0].left_alone == null and .file_systems[0].free > 0' \
		out >/dev/null || trouble "$(cat out)"
	freed=$((freed + $(jq '.[0] | .freed_guest' out)))
	expect 0 $V check -q a.vhdx
	$V convert -q --format raw a.vhdx back.raw
}
freed=0 n=0

mounted_round() # TYPE FILE CHECK...
{
	local type=$1 file=$2
	attach "$file"
	mount_fs "$type" "$loop"
	play "$T/fs"
	[ "$type" != ext4 ] || (sync -f "$T/fs" && cp "$file" in_use.raw)
	sums "$T/fs" >want.sums
	umount "$T/fs"
	detach
	used_up "$file"
	"${@:3}" back.raw >out 2>&1 || trouble "$3: $(tail -5 out)"
	attach back.raw -r
	mkdir -p "$T/fs"
	mount -t "$type" -o ro "$loop" "$T/fs"
	sums "$T/fs" >got.sums
	umount "$T/fs"
	detach
	cmp want.sums got.sums || trouble "other files"
	n=$((n + 1))
}
left_alone() # FILE WORDS
{
	$V convert -q --force "$1" dirty.vhdx
	expect 0 $V compact --free-space --json dirty.vhdx
	jq -e --arg why "$2" '.[0] | .freed_guest == 0 and
		(.file_systems[0].left_alone | contains($why))' out >/dev/null || trouble "$(cat out)"
	expect 0 $V compare -q dirty.vhdx "$1"
}

punches=1
for ((round = 0; round < rounds && ${has_loop:-0}; round++)); do
	one_of ext2 ext3 ext4 ext4 ext4
	type=$one
	one_of 1024 2048 4096
	block=$one
	one_of 128 256
	options=(-b "$block" -m $((RANDOM % 10)) -I "$one" -N $((200 + RANDOM % 3000)))
	one_of '' ^resize_inode sparse_super2 ^sparse_super,^resize_inode
	features=$one
	one_of ^has_journal 64bit ^metadata_csum,uninit_bg ^metadata_csum,^uninit_bg ^flex_bg ^extent,^64bit \
		meta_bg,^resize_inode bigalloc inline_data
	[ "$type" != ext4 ] || features+=,$one
	case $features in
	*bigalloc*) options+=(-C $((block * 4))) ;;
	esac
	one_of 2 4 8
	[ $((RANDOM % 2)) = 0 ] || options+=(-g $((block * one)))
	what="mkfs.$type ${options[*]} -O ${features#,}"
	rm -f disk.raw
	truncate -s $((24 + RANDOM % 40))M disk.raw
	# Not all of these go together.
	"mkfs.$type" -q -F "${options[@]}" -O "${features#,}" disk.raw >out 2>&1 || {
		what="mkfs.$type -b $block"
		"mkfs.$type" -q -F -b "$block" disk.raw >out 2>&1 || trouble "$(cat out)"
	}
	mounted_round ext4 disk.raw e2fsck -fn
done
if [ -n "$has_loop" ]; then
	# As it was on the disk while it was mounted: a journal to be replayed.
	what="a journal in use"
	rm -f disk.raw
	truncate -s 32M disk.raw
	mkfs.ext4 -q -F disk.raw
	attach disk.raw
	mount_fs ext4 "$loop"
	play "$T/fs"
	sync -f "$T/fs"
	cp disk.raw in_use.raw
	umount "$T/fs"
	detach
	left_alone in_use.raw 'cleanly unmounted'
else
	echo "left out: ext2/3/4 filled by the kernel: no loop devices"
fi

# NTFS, with clusters of any size.
if [ -n "$has_loop" ] && command -v mkntfs >/dev/null && command -v ntfs-3g >/dev/null; then
	punches=
	for ((round = 0; round < rounds; round++)); do
		one_of 512 1024 4096 65536
		cluster=$one
		what="mkntfs -c $cluster"
		rm -f disk.raw
		truncate -s $((40 + RANDOM % 30))M disk.raw
		mkntfs -q -Q -F -c "$cluster" disk.raw >out 2>&1 || trouble "$(cat out)"
		mounted_round ntfs-3g disk.raw ntfsfix -n
	done
	# The volume's dirty bit: in record 3 of the MFT, attribute 0x70.
	le() { od -A n -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '; }
	what="the dirty bit of NTFS"
	record=$(($(le disk.raw 48 8) * $(le disk.raw 11 2) * $(le disk.raw 13 1) + 3 * 1024))
	at=$(le disk.raw $((record + 20)) 2)
	while [ "$(le disk.raw $((record + at)) 4)" != 112 ]; do
		[ "$(le disk.raw $((record + at)) 4)" -lt 112 ] || fail "no volume information"
		at=$((at + $(le disk.raw $((record + at + 4)) 4)))
	done
	at=$((record + at + $(le disk.raw $((record + at + 20)) 2) + 10))
	[ "$(le disk.raw $at 2)" = 0 ] || fail "the flags of the volume"
	printf '\1' | dd of=disk.raw bs=1 seek=$at conv=notrunc status=none
	left_alone disk.raw 'cleanly unmounted'
else
	echo "left out: NTFS"
fi

# FAT of all widths, without a mount.
vfat_files()
{
	local f
	mdir -i "$1" -/ -b ::/ 2>/dev/null | sed 's|^::/||' | grep -v '/$' | sort | while read -r f; do
		mtype -i "$1" "::/$f" | sha256sum | sed "s|-|$f|"
	done
}
export MTOOLS_SKIP_CHECK=1
for ((round = 0; round < rounds; round++)); do
	one_of 12 16 32
	bits=$one
	case $bits in
	12) size=$((4 + RANDOM % 8)) && one_of 8 16 ;;
	16) size=$((20 + RANDOM % 30)) && one_of 2 4 8 ;;
	32) size=$((36 + RANDOM % 30)) && one_of 1 ;;
	esac
	per=$one
	one_of 1 2
	what="mkfs.vfat -F $bits -s $per"
	rm -rf disk.raw tree
	truncate -s ${size}M disk.raw
	mkfs.vfat -F $bits -s $per -f "$one" disk.raw >out 2>&1 || trouble "$(cat out)"
	mkdir tree
	punches=
	play tree >/dev/null
	for f in tree/*/f*; do
		mcopy -i disk.raw "$f" "::/${f##*/}" >/dev/null 2>&1 || break # it may be full
	done
	for f in $(mdir -i disk.raw -b ::/ | sed 's|^::/||'); do
		[ $((RANDOM % 2)) = 0 ] || mdel -i disk.raw "::/$f"
	done
	pattern 5 3000000 >gone
	mcopy -i disk.raw gone ::/gone >/dev/null 2>&1 && mdel -i disk.raw ::/gone
	vfat_files disk.raw >want.sums
	used_up disk.raw
	fsck.vfat -n back.raw >out 2>&1 || trouble "fsck.vfat: $(tail -5 out)"
	vfat_files back.raw >got.sums
	cmp want.sums got.sums || trouble "other files"
	n=$((n + 1))
done
what="the dirty bit of FAT"
for bits in 16 32; do
	rm -f disk.raw
	truncate -s 40M disk.raw
	mkfs.vfat -F $bits disk.raw >/dev/null 2>&1
	mcopy -i disk.raw tree/*/* ::/ >/dev/null 2>&1 || true
	cp disk.raw clean.raw
	used_up clean.raw
	# In the boot sector (Linux) and in the second entry of the table (Windows).
	printf '\1' | dd of=disk.raw bs=1 seek=$((bits == 16 ? 0x25 : 0x41)) conv=notrunc status=none
	left_alone disk.raw 'cleanly unmounted'
	start=$(($(od -A n -t u2 -j 14 -N 2 clean.raw) * 512))
	printf "$([ $bits = 16 ] && echo '\xff\x7f' || echo '\xff\xff\xff\xf7')" |
		dd of=clean.raw bs=1 seek=$((start + bits / 8)) conv=notrunc status=none
	left_alone clean.raw 'cleanly unmounted'
done
[ $freed -gt 0 ] || fail "nothing was free in any of them"
[ $n -ge $rounds ] || fail "only $n file systems"
echo "count: random file systems whose free space was given back $n"
echo "count: MiB that came of it $((freed >> 20))"
