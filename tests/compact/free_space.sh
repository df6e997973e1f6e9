#!/bin/bash
# SPDX-License-Identifier: MIT
# test-timeout: 300
# compact --free-space: what clean file systems call free is given back, never more, and only where
# nobody is hurt. No mount is needed: files are put in and deleted by e2fsprogs, mtools, ntfsprogs.
. "$(dirname "$0")/../support/cli.sh"
need jq qemu-img mkfs.ext4 debugfs e2fsck dumpe2fs mkfs.vfat mcopy mdel sfdisk

space() { echo $(($(stat -c %b "$1") * 512)); }
# The 5 % of the targets are for what they measure, 2 GiB; small images have relatively more that
# isn't data: 4 MiB of structures, and of each block the last page.
near() { [ "$1" -le $(($2 * 105 / 100 + 5 * 1048576)) ]; }
sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }

size=${VD_LONG:+2048}
size=${size:-96}
mkdir tree
for ((i = 0; i < 24; i++)); do
	pattern $((i + 1)) $((size * 1048576 / 40 + i * 3333)) >tree/f$i
done

# ext4 FILE: a file system on FILE from which three quarters of the files were deleted.
ext4()
{
	local i
	truncate -s "$2" "$1"
	mkfs.ext4 -q -F -b "${3:-4096}" -d tree "$1"
	for ((i = 0; i < 24; i++)); do
		[ $((i % 4)) = 0 ] || echo "rm /f$i"
	done >commands
	debugfs -w -f commands "$1" >/dev/null 2>&1
	e2fsck -fn "$1" >out 2>&1 || fail "the file system is wrong before anything: $(cat out)"
}
# same_files FILE: it is clean, and has the files that are left.
same_files()
{
	local i
	e2fsck -fn "$1" >out 2>&1 || fail "e2fsck: $(cat out)"
	for ((i = 0; i < 24; i += 4)); do
		debugfs -R "cat /f$i" "$1" 2>/dev/null | cmp - tree/f$i || fail "file f$i"
	done
}
used()
{
	dumpe2fs -h "$1" 2>/dev/null | awk '/^Block count/ { n = $3 } /^Free blocks/ { f = $3 }
		/^Block size/ { b = $3 } END { print (n - f) * b }'
}

for block in 4096 1024; do
	ext4 disk.raw ${size}M $block
	$V convert -q --block-size 1M --force disk.raw a.vhdx
	guid=$($V inspect --json a.vhdx | jq -r '.[0].data_write_id')
	was=$(space a.vhdx)
	# Without being asked it takes nothing from the guest.
	expect 0 $V compact --dry-run --json a.vhdx
	json '.[0].freed_guest == 0'
	expect 0 $V compact --dry-run --free-space --json a.vhdx
	json '.[0] | .freed_guest > 0 and .file_systems[0].type == "ext4" and
		.file_systems[0].left_alone == null'
	cp out dry
	[ "$guid" = "$($V inspect --json a.vhdx | jq -r '.[0].data_write_id')" ]
	expect 0 $V compact --free-space --json a.vhdx
	json '.[0].complete'
	jq -e --slurpfile dry dry '.[0] as $run | $dry[0][0] | .file_after == $run.file_after and
		.freed_guest == $run.freed_guest and .dropped_hole == $run.dropped_hole and
		.moves_planned == $run.moves' out >/dev/null ||
		fail "the dry run said $(jq -c . dry), the run $(jq -c . out)"
	near "$(space a.vhdx)" "$(used disk.raw)" ||
		fail "$(space a.vhdx) bytes for $(used disk.raw) in use"
	[ "$guid" != "$($V inspect --json a.vhdx | jq -r '.[0].data_write_id')" ] ||
		fail "what a guest can read changed, but DataWriteGuid didn't"
	expect 0 $V check -q a.vhdx
	qemu-img check -q a.vhdx
	qemu-img convert -f vhdx -O raw a.vhdx back.raw
	same_files back.raw
	echo "count: ext4, $block-byte blocks, $((size)) MiB: bytes before $was"
	echo "count: ext4, $block-byte blocks, $((size)) MiB: bytes in use $(used disk.raw)"
	echo "count: ext4, $block-byte blocks, $((size)) MiB: bytes after $(space a.vhdx)"
	expect 0 $V compact --free-space --json a.vhdx
	json '.[0] | .complete and .moves == 0 and .freed_guest == 0 and .file_after == .file_before'
done
rm -f dry back.raw

# One that was in use when it was last seen.
cp disk.raw dirty.raw
debugfs -w -R 'feature needs_recovery' dirty.raw >/dev/null 2>&1
$V convert -q dirty.raw dirty.vhdx
cp dirty.vhdx copy.vhdx
expect 0 $V compact --free-space dirty.vhdx
says 'left alone'
says 'cleanly unmounted'
expect 0 $V compare -q dirty.vhdx dirty.raw
expect 0 $V compact --free-space --json dirty.vhdx
json '.[0] | .freed_guest == 0 and (.file_systems[0].left_alone | contains("unmounted"))'

# An image that others build upon.
$V convert -q disk.raw base.vhdx
$V create child.vhdx --parent base.vhdx -q
sum=$(sha256sum <base.vhdx)
expect 4 $V compact --free-space base.vhdx
says 'child.vhdx has this image as its parent'
[ "$(sha256sum <base.vhdx)" = "$sum" ] || fail "it was refused, and changed"
expect 0 $V compact base.vhdx
# A child itself: space that is freed reads as zero, not as the parent's old data.
rm child.vhdx
$V convert -q --force --block-size 1M disk.raw base.vhdx
$V create child.vhdx --parent base.vhdx -q
cp disk.raw changed.raw
debugfs -R 'blocks /f0' disk.raw 2>/dev/null | tr ' ' '\n' | grep . | sort -n >blocks
# Where its longest piece lies.
read -r first last < <(awk 'NR > 1 && $1 != p + 1 { s = 0 } !s { s = $1 } { p = $1
	if (p - s > n) { n = p - s; a = s } } END { print a, a + n }' blocks)
first=$(((first * 1024 + 1048575) / 1048576)) last=$(((last + 1) * 1024 / 1048576))
[ "$last" -gt "$first" ] || fail "the test wants a whole block of f0"
# The child has all of that itself, before the file is deleted.
$V read disk.raw --offset "${first}M" --length "$((last - first))M" |
	$V write -q child.vhdx --offset "${first}M"
echo 'rm /f0' | debugfs -w -f - changed.raw >/dev/null 2>&1
cmp -l disk.raw changed.raw | awk '{ b = int(($1 - 1) / 4096); if (!(b in s)) { s[b]; print b } }' >blocks
while read -r b; do
	dd if=changed.raw bs=4096 skip="$b" count=1 status=none |
		$V write -q child.vhdx --offset $((b * 4096))
done <blocks
expect 0 $V compare -q child.vhdx changed.raw
expect 0 $V compact --free-space --json child.vhdx
json '.[0].complete and .[0].file_systems[0].left_alone == null and .[0].freed_guest > 0'
$V convert -q --format raw child.vhdx child.raw
e2fsck -fn child.raw >out 2>&1 || fail "e2fsck of the child: $(cat out)"
for ((i = 4; i < 24; i += 4)); do
	debugfs -R "cat /f$i" child.raw 2>/dev/null | cmp - tree/f$i || fail "the child's f$i"
done
[ "$($V read child.vhdx --offset "${first}M" --length "$((last - first))M" | tr -d '\0' | wc -c)" = 0 ] ||
	fail "what was freed in the child doesn't read as zero"
expect 0 $V check -q child.vhdx
rm -f *.vhdx *.raw

# A GPT with ext4, FAT, NTFS and one that can't be read.
truncate -s 200M disk.raw
sfdisk -q disk.raw >/dev/null 2>&1 <<END
label: gpt
start=2048, size=40M
size=40M
size=40M
size=40M
END
start() { sfdisk -J disk.raw | jq ".partitiontable.partitions[$1].start"; }
dd_to() { dd if="$1" of=disk.raw bs=512 seek="$(start "$2")" conv=notrunc,sparse status=none; }
mkdir small
for ((i = 0; i < 8; i++)); do
	pattern $((50 + i)) 3000000 >small/g$i
done
truncate -s 40M p1 p2 p3 p4
mkfs.ext4 -q -F -d small p1
for ((i = 1; i < 8; i++)); do
	echo "rm /g$i"
done | debugfs -w -f - p1 >/dev/null 2>&1
mkfs.vfat p2 >/dev/null
mcopy -i p2 small/* ::
for ((i = 1; i < 8; i++)); do
	mdel -i p2 ::/g$i
done
with_ntfs=
if command -v mkntfs >/dev/null && command -v ntfscp >/dev/null; then
	with_ntfs=1
	mkntfs -q -Q -F p3 >/dev/null 2>&1
	ntfscp -q p3 small/g0 g0 >/dev/null 2>&1
fi
# Something of which nothing is known.
pattern 99 20000000 >p4
truncate -s 40M p4
for i in 1 2 3 4; do
	dd_to p$i $((i - 1))
done
if [ -n "$with_ntfs" ]; then
	# What a deleted file would have left.
	free=$(ntfscluster -i p3 2>/dev/null | awk '/bytes of free space/ { print $NF }' || true)
	dd if=small/g5 of=disk.raw bs=512 seek=$(($(start 2) + 30 * 2048)) conv=notrunc status=none
fi
$V convert -q --block-size 1M disk.raw a.vhdx
was=$(space a.vhdx)
expect 0 $V compact --free-space a.vhdx
says 'partition 1 (ext4): '
says 'partition 2 (vfat): '
[ -z "$with_ntfs" ] || says 'partition 3 (ntfs): '
# 7 files each of two, 3 MB of the third.
[ "$(space a.vhdx)" -le $((was - (14 + ${with_ntfs:-0}) * 2800000)) ] ||
	fail "from $was to $(space a.vhdx)"
qemu-img convert -f vhdx -O raw a.vhdx back.raw
for i in 1 2 3 4; do
	dd if=back.raw of=q$i bs=512 skip="$(start $((i - 1)))" count=81920 conv=sparse status=none
	truncate -s 40M q$i
done
e2fsck -fn q1 >out 2>&1 || fail "e2fsck: $(cat out)"
debugfs -R 'cat /g0' q1 2>/dev/null | cmp - small/g0
fsck.vfat -n q2 >out || fail "fsck.vfat: $(cat out)"
mcopy -i q2 ::/g0 got && cmp got small/g0
if [ -n "$with_ntfs" ]; then
	ntfsfix -n q3 >out 2>&1 || fail "ntfsfix: $(cat out)"
	ntfscat q3 g0 2>/dev/null | cmp - small/g0
fi
cmp p4 q4 || fail "a partition without a known file system changed"
expect 0 $V check -q a.vhdx
expect 0 $V compact --free-space --json a.vhdx
json '.[0] | (.file_systems | length) == 4 and .file_systems[3].left_alone != null and .freed_guest == 0'

# Partitions that lie across each other, and tables that disagree: whose is it? All is left alone.
truncate -s 100M over.raw
sfdisk -q over.raw >/dev/null 2>&1 <<END
label: dos
start=2048, size=81920, type=83
END
mkfs.ext4 -q -F -E offset=1048576 over.raw 40M >/dev/null 2>&1
# A second entry that begins within the first.
printf '\x00\x00\x00\x00\x83\x00\x00\x00\x00\x10\x00\x00\x00\x40\x01\x00' |
	dd of=over.raw bs=1 seek=$((446 + 16)) conv=notrunc status=none
pattern 3 3000000 | dd of=over.raw bs=1M seek=30 conv=notrunc status=none
$V convert -q over.raw over.vhdx
expect 0 $V compact --free-space --json over.vhdx
json '.[0].freed_guest == 0 and ([.[0].file_systems[] | .left_alone != null] | all)'
expect 0 $V compare -q over.vhdx over.raw
