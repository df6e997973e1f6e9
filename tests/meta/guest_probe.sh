#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What we find on disks that others made is what blkid and sfdisk find: types, labels, UUIDs of
# file systems; numbers, places, types, UUIDs, names of partitions. What isn't installed is left
# out, and said at the end.
set -eu
PATH=$PATH:/usr/sbin:/sbin
SHOW=$B/tests/meta/guest_show
cd "$T"
left_out= device=
trap '[ -z "$device" ] || losetup -d "$device"' EXIT

fail()
{
	echo "FAILED: $*" >&2
	exit 1
}

# have PROGRAM...: or leave out what needs it.
have()
{
	local program
	for program; do
		command -v "$program" >/dev/null || {
			left_out="$left_out $program"
			return 1
		}
	done
}

# field N: of the first file system that guest_show tells of in $T/ours.
field()
{
	awk -F'\t' -v n="$1" '$1 == "filesystem" { print $n; exit }' "$T/ours"
}

# same WHAT OURS THEIRS
same()
{
	[ "$2" = "$3" ] || fail "$1: we say \"$2\", the others \"$3\""
}

# agree IMAGE TYPE [BLKID-TYPE]: our type is this, and blkid agrees about all that both tell.
agree()
{
	"$SHOW" layout "$1" >"$T/ours"
	same "$1: scheme" "$(awk -F'\t' '$1 == "layout" { print $2 }' "$T/ours")" none
	same "$1: type" "$(field 3)" "$2"
	same "$1: type" "${3:-$2}" "$(blkid -p -s TYPE -o value "$1")"
	same "$1: label" "$(field 5)" "$(blkid -p -s LABEL -o value "$1")"
	same "$1: UUID" "$(field 6)" "$(blkid -p -s UUID -o value "$1")"
	same "$1: dirty" "$(field 10)" clean
	n_agreed=$((n_agreed + 1))
}
n_agreed=0

make_file()
{
	rm -f "$1"
	truncate -s "$2" "$1"
}

have blkid sfdisk jq || {
	echo "skipped: blkid, sfdisk and jq are what we compare with"
	exit 77
}

# ---- file systems

if have mke2fs; then
	for type in ext2 ext3 ext4; do
		make_file $type.img 8M
		mke2fs -q -t $type -L "the $type" $type.img
		agree $type.img $type
	done
	make_file old.img 8M
	mke2fs -q -t ext4 -O ^metadata_csum,^64bit -b 4096 old.img
	agree old.img ext4
	same "block size" "$(field 7)" 4096
	# What dumpe2fs counts.
	free=$(dumpe2fs -h old.img 2>/dev/null | awk '/^Free blocks:/ { print $3 }')
	same "used" "$(field 9)" $(((2048 - free) * 4096))
	debugfs -w -R 'ssv state 0' old.img 2>/dev/null
	"$SHOW" layout old.img >"$T/ours"
	same "an ext4 that wasn't unmounted" "$(field 10)" dirty
	# A superblock whose checksum is wrong is none; no kernel would mount it.
	printf 'X' | dd of=ext4.img bs=1 seek=1150 conv=notrunc status=none
	"$SHOW" layout ext4.img >"$T/ours"
	same "a damaged ext4" "$(field 3)" ""
fi
if have mkfs.xfs; then
	make_file xfs.img 300M
	mkfs.xfs -q -L ixs xfs.img
	agree xfs.img xfs
	make_file xfs4.img 300M
	mkfs.xfs -q -m crc=0 -L four xfs4.img >"$T/log" 2>&1 && agree xfs4.img xfs
fi
if have mkfs.btrfs; then
	make_file btrfs.img 120M
	mkfs.btrfs -q -L 'better fs' btrfs.img >"$T/log" 2>&1
	agree btrfs.img btrfs
fi
if have mkntfs; then
	make_file ntfs.img 8M
	mkntfs -q -F -f -L Fenster ntfs.img >"$T/log" 2>&1
	agree ntfs.img ntfs
	make_file ntfs-large.img 64M
	mkntfs -q -F -f -c 65536 -L Large ntfs-large.img >"$T/log" 2>&1
	agree ntfs-large.img ntfs
	same "NTFS: cluster" "$(field 7)" 65536
fi
if have mkfs.fat; then
	while read -r bits size sector; do
		make_file fat$bits.img "$size"
		mkfs.fat -F $bits -S $sector -n "FAT OF $bits" fat$bits.img >"$T/log"
		agree fat$bits.img vfat
		same "FAT: version" "$(field 4)" FAT$bits
		make_file plain.img "$size"
		mkfs.fat -F $bits -S $sector --mbr=no plain.img >"$T/log"
		agree plain.img vfat
	done <<-END
		12 2M 512
		16 16M 512
		32 64M 512
		16 64M 4096
		32 300M 4096
	END
	# Linux marks a FAT16 that it has mounted at 37, and clears the mark when it unmounts.
	printf '\001' | dd of=fat12.img bs=1 seek=37 conv=notrunc status=none
	"$SHOW" layout fat12.img >"$T/ours"
	same "a FAT12 that wasn't unmounted" "$(field 10)" dirty
fi
if have mkfs.exfat; then
	make_file exfat.img 8M
	mkfs.exfat -L Wechsel exfat.img >"$T/log"
	agree exfat.img exfat
fi
if have mkswap; then
	make_file swap.img 1M
	mkswap -L tausch swap.img >"$T/log" 2>&1
	agree swap.img swap
	make_file swap64.img 2M
	mkswap -p 65536 swap64.img >"$T/log" 2>&1
	agree swap64.img swap
fi
if have cryptsetup; then
	for version in 1 2; do
		make_file luks$version.img 20M
		echo x | cryptsetup -q luksFormat --type luks$version --pbkdf pbkdf2 \
			--pbkdf-force-iterations 1000 luks$version.img - 2>"$T/log"
		agree luks$version.img luks crypto_LUKS
		same "LUKS: version" "$(field 4)" LUKS$version
	done
	cryptsetup config --label geheim luks2.img
	agree luks2.img luks crypto_LUKS
	# The second header is left.
	dd if=/dev/zero of=luks2.img bs=4096 count=1 conv=notrunc status=none
	"$SHOW" layout luks2.img >"$T/ours"
	same "LUKS2 without its first header" "$(field 3) $(field 5)" "luks geheim"
fi
if have genisoimage; then
	mkdir tree
	echo hello >tree/file
	genisoimage -quiet -V PLAIN -o plain.iso tree
	agree plain.iso iso9660
	genisoimage -quiet -J -V Joliet_and_Case -o joliet.iso tree
	agree joliet.iso iso9660
fi
if have pvcreate losetup; then
	make_file lvm.img 20M
	if device=$(losetup -f --show lvm.img 2>"$T/log"); then
		# Only this device: others may be stuck, and aren't ours to look at.
		timeout 30 pvcreate -q --nolocking --devices "$device" "$device" >"$T/log" 2>&1 ||
			fail "pvcreate: $(cat "$T/log")"
		losetup -d "$device"
		device=
		agree lvm.img lvm2 LVM2_member
	else
		left_out="$left_out pvcreate(no-loop-device)"
	fi
fi

# ---- partition tables

# table IMAGE SCHEME SECTOR [DEVICE]: ours is what sfdisk shows (of the device, if there is one), with PTUUID as
# blkid has it.
table()
{
	"$SHOW" layout "$1" >"$T/ours"
	same "$1: scheme" "$(awk -F'\t' '$1 == "layout" { print $2 }' "$T/ours")" "$2"
	[ -n "${4:-}" ] || same "$1: problem" "$(awk -F'\t' '$1 == "layout" { print $4 }' "$T/ours")" ""
	same "$1: UUID" "$(awk -F'\t' '$1 == "layout" { print $3 }' "$T/ours")" \
		"$(blkid -p -s PTUUID -o value "${4:-$1}")"
	awk -F'\t' -v s="$3" '$1 == "partition" {
		type = $5
		if (sub(/^0x0?/, "", type))
			$7 = $6 = ""
		printf "%d %d %d %s %s %s\n", $2, $3 / s, $4 / s, type, $6, $7
	}' "$T/ours" | sort -n >"$T/ours.list"
	sfdisk -J "${4:-$1}" 2>"$T/log" | jq -r '.partitiontable.partitions[] |
		"\(.node | capture("(img|p)(?<n>[0-9]+)$").n) \(.start) \(.size) \(.type | ascii_downcase) \(
		.uuid // "" | ascii_downcase) \(.name // "")"' | sort -n >"$T/theirs.list"
	[ -s "$T/theirs.list" ] || fail "$1: sfdisk shows no partitions"
	diff "$T/ours.list" "$T/theirs.list" || fail "$1: ours (<) isn't sfdisk's (>)"
}

make_file mbr.img 100M
sfdisk -q mbr.img <<END
label: dos
label-id: 0x12abcd34
start=2048, size=20480, type=83, bootable
start=22528, size=20480, type=82
start=43008, size=102400, type=f
start=145408, size=40960, type=7
start=45056, size=10240, type=83
start=65536, size=4096, type=c
start=57344, size=4096, type=8e
END
table mbr.img mbr 512
grep -qP '^partition\t1\t1048576\t.*\t1$' ours || fail "the active partition isn't told"
grep -qP '^layout\tmbr\t12abcd34\t' ours || fail "the signature isn't told"

make_file gpt.img 100M
sfdisk -q gpt.img <<END
label: gpt
start=2048, size=20480, type=U, name="EFI"
start=61440, size=20480, type=L, name="zwei wörter", attrs="LegacyBIOSBootable"
start=22528, size=10240, type=S
start=34816, size=20480, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
END
table gpt.img gpt 512
grep -qP '^partition\t2\t.*\t4$' ours || fail "the attribute isn't told"
grep -qP '\tEFI system\t' ours || fail "the type's name isn't told"

# File systems within: as on files of their own.
if have mke2fs mkfs.fat; then
	mkfs.fat -n BOOT --offset 2048 gpt.img 10240 >"$T/log" 2>&1
	mke2fs -q -F -L wurzel -E offset=$((61440 * 512)) gpt.img 10M
	"$SHOW" layout gpt.img >ours
	grep -qP '^filesystem\t1\tvfat\t\S*\tBOOT\t' ours || fail "the FAT in partition 1"
	grep -qP '^filesystem\t2\text2\t\S*\twurzel\t' ours || fail "the ext2 in partition 2"
fi

# The first header is gone: the second says the same, and that is told.
cp gpt.img damaged.img
dd if=/dev/zero of=damaged.img bs=512 seek=1 count=1 conv=notrunc status=none
"$SHOW" layout gpt.img | grep -v ^layout >whole
"$SHOW" layout damaged.img | tee ours | grep -v ^layout | diff whole - ||
	fail "the second header says something else"
grep -qP '^layout\tgpt\t.*first GPT header is missing; the second one was used' ours ||
	fail "the damage isn't told"

# A disk with sectors of 4096 bytes, and its image, which lost them: found all the same, and told.
make_file large.img 100M
if have losetup && device=$(losetup -b 4096 -f --show large.img 2>"$T/log"); then
	sfdisk -q --no-reread --no-tell-kernel "$device" <<-END 2>"$T/log" || true
		label: gpt
		start=256, size=2560, type=U, name="EFI"
		start=4096, size=8192, type=L
	END
	table large.img gpt 4096 "$device"
	losetup -d "$device"
	device=
	grep -qP '^layout\tgpt\t.*made for sectors of 4096 bytes' ours || fail "4096 isn't told"
else
	left_out="$left_out sectors-of-4096(no-loop-device)"
fi

# Not only what sfdisk makes: sgdisk's hybrid.
if have sgdisk; then
	cp gpt.img hybrid.img
	sgdisk --hybrid 1:2 hybrid.img >"$T/log"
	"$SHOW" layout hybrid.img >ours
	grep -qP '^layout\thybrid\t' ours || fail "the hybrid isn't told"
	grep -v ^layout ours | diff whole - || fail "the hybrid has other partitions"
fi

if [ -n "$left_out" ]; then
	echo "left out, not installed:$left_out"
fi
echo "$n_agreed file systems and the tables are as blkid and sfdisk see them"
