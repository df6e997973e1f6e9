#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Files of FAT12, FAT16, FAT32 as mtools wrote them, and of exFAT as exfat-fuse did: every path,
# size, time and byte; free space as fsck.fat and df count it. Deep folders, long names, names
# beyond ASCII, fragmented files.
set -eu
PATH=$PATH:/usr/sbin:/sbin
export TZ=UTC LC_ALL=C.UTF-8 MTOOLS_SKIP_CHECK=1
SHOW=$B/tests/meta/guest_show
cd "$T"

fail()
{
	echo "FAILED: $*" >&2
	exit 1
}

for program in mkfs.fat fsck.fat mcopy mmd mdel; do
	command -v $program >/dev/null || {
		echo "skipped: $program isn't installed"
		exit 77
	}
done

# noise SEED BYTES: bytes that never come again.
noise()
{
	seq "$(($1 * 1000000))" 99999999 2>/dev/null | head -c "$2" || true
}

# CRC-32 of a file, as gzip keeps it in its last bytes but four.
crc()
{
	gzip -1 -n -c "$1" | tail -c 8 | head -c 4 | od -An -tx4 --endian=little | tr -d ' '
}

# expected FOLDER: as guest_show tree puts it, without the times of folders.
expected()
{
	(
		cd "$1"
		find . -mindepth 1 -printf '%y\t%s\t%T@\t%P\n' | while IFS=$'\t' read -r type size time path; do
			if [ "$type" = d ]; then
				printf 'd\t0\t-\t00000000\t/%s\n' "$path"
			else
				printf 'f\t%s\t%s\t%s\t/%s\n' "$size" "${time%.*}" "$(crc "$path")" "$path"
			fi
		done
	) | sort
}

# found IMAGE [START]
found()
{
	"$SHOW" tree "$@" >"$T/walked" || fail "$1: $(cat "$T/walked")"
	awk -F'\t' -v OFS='\t' '$5 != "/" { if ($1 == "d") $3 = "-"; print }' "$T/walked" | sort
}

# ---- what is written: times are even, as FAT has them

mkdir -p "tree/deep/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p" "tree/Ordner mit langem Namen" tree/empty
noise 1 100 >tree/deep/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/bottom.txt
noise 2 70000 >"tree/Ordner mit langem Namen/Überraschung – größer als ein Cluster.bin"
noise 3 3 >tree/SHORT.TXT
noise 4 3 >tree/lower.txt
noise 5 5 >"tree/日本語のファイル名.txt"
: >tree/nothing
noise 7 2048 >tree/one.clu
noise 8 2049 >tree/more.clu
long=$(printf 'n%.0s' $(seq 200))
noise 9 9 >"tree/$long.long"
mkdir tree/many
for i in $(seq 30); do
	noise "$i" "$i" >"tree/many/file number $i"
done
find tree -exec touch -d '2024-02-29 12:34:56' {} +
touch -d '1999-12-31 23:59:58' tree/SHORT.TXT
touch -d '2040-01-01 00:00:00' tree/lower.txt

# Small files, of which every second is deleted: what comes next lies in the holes between.
holes=()
mkdir want
cp -a tree/. want
mkdir want/holes
for i in $(seq 40); do
	noise "$i" 3000 >"h$i"
	holes+=("h$i")
done
touch -d "2001-09-09 01:46:40" "${holes[@]}"
cp -a h*[02468] want/holes
expected want >want.list

# check_fat BITS SIZE OPTION...
check_fat()
{
	local image=fat$1.img i
	rm -f "$image"
	truncate -s "$2" "$image"
	mkfs.fat -F "$1" "${@:3}" "$image" >/dev/null

	mmd -i "$image" ::/holes
	mcopy -i "$image" -m "${holes[@]}" ::/holes
	for i in $(seq 1 2 40); do
		mdel -i "$image" "::/holes/h$i"
	done
	mcopy -i "$image" -s -m -Q tree/* ::/ </dev/null
	found "$image" >got.list
	diff want.list got.list || fail "FAT$1: the files (<) aren't what we read (>)"

	# Free clusters, as fsck.fat counts them.
	fsck.fat -n "$image" >fsck.out || fail "fsck.fat: $(cat fsck.out)"
	counts=$(grep -oE '[0-9]+/[0-9]+ clusters' fsck.out)
	used=${counts%%/*}
	all=${counts#*/}
	all=${all% clusters}
	cluster=$("$SHOW" layout "$image" | awk -F'\t' '$1 == "filesystem" { print $7 }')
	free=$("$SHOW" free "$image" | awk '{ n += $2 } END { print n + 0 }')
	[ "$free" = $(((all - used) * cluster)) ] ||
		fail "FAT$1: $free bytes free, fsck.fat counts $((all - used)) clusters of $cluster"

	# Nothing that a file holds is free: with all free space overwritten, the files are the same.
	"$SHOW" free "$image" | while read -r start length; do
		noise 77 "$length" | dd of="$image" bs=65536 seek="$start" oflag=seek_bytes \
			conv=notrunc status=none
	done
	found "$image" | diff want.list - || fail "FAT$1: what is told to be free isn't"
	echo "FAT$1: $(wc -l <want.list) files and folders"
}
check_fat 12 4M
check_fat 16 32M
check_fat 16 64M -S 4096
check_fat 32 64M -s 1
check_fat 32 300M -f 1 -s 8

# In a partition, and one that says that it was left mounted gives no free space.
truncate -s 80M disk.img
dd if=fat16.img of=disk.img bs=1M seek=1 conv=notrunc,sparse status=none
"$SHOW" tree disk.img 1048576 >a
"$SHOW" tree fat16.img | diff - a || fail "a partition reads otherwise than a file"
printf '\001' | dd of=fat16.img bs=1 seek=37 conv=notrunc status=none
if "$SHOW" free fat16.img >a 2>b; then
	fail "free space of a dirty file system was told"
fi
grep -q unmounted b || fail "the refusal says: $(cat b)"

# ---- exFAT
mounter=$(command -v mount.exfat-fuse || true)
if [ -z "$mounter" ] || ! command -v mkfs.exfat >/dev/null || [ ! -w /dev/fuse ]; then
	echo "exFAT left out: it takes mkfs.exfat, exfat-fuse and /dev/fuse"
	exit 0
fi
truncate -s 64M exfat.img
mkfs.exfat -L wechsel exfat.img >/dev/null
mkdir mnt
device=$(losetup -f --show exfat.img 2>mount.out) || device=
if [ -z "$device" ] || ! "$mounter" "$device" mnt >mount.out 2>&1; then
	[ -z "$device" ] || losetup -d "$device"
	echo "exFAT left out: $(tail -1 mount.out)"
	exit 0
fi
trap 'umount -l mnt || true; losetup -d "$device"' EXIT
mkdir mnt/holes
for i in $(seq 40); do
	noise "$i" 5000 >"mnt/holes/h$i"
done
rm mnt/holes/h*[13579]
cp -r --preserve=timestamps tree/. mnt/
noise 5 300000 >mnt/scattered
touch -d '2024-02-29 12:34:56' mnt/scattered mnt/holes/*
expected mnt >want.list
df_free=$(df --output=avail -B1 mnt | tail -1)
umount mnt
trap - EXIT
losetup -d "$device"
found exfat.img >got.list
diff want.list got.list || fail "exFAT: the files (<) aren't what we read (>)"
free=$("$SHOW" free exfat.img | awk '{ n += $2 } END { print n + 0 }')
[ "$free" = $((df_free)) ] || fail "exFAT: $free bytes free, df says $df_free"
"$SHOW" free exfat.img | while read -r start length; do
	noise 77 "$length" | dd of=exfat.img bs=65536 seek="$start" oflag=seek_bytes conv=notrunc status=none
done
found exfat.img | diff want.list - || fail "exFAT: what is told to be free isn't"
echo "exFAT: $(wc -l <want.list) files and folders"
