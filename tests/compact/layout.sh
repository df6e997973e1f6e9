#!/bin/bash
# SPDX-License-Identifier: MIT
# compact --layout: what a list of extents doesn't name goes, what was written since the list's
# generation stays, and lists that are stale, of something else, or nonsense change nothing.
. "$(dirname "$0")/../support/mounts.sh"
need jq

space() { echo $(($(stat -c %b "$1") * 512)); }
# layout FILTER: the head of "head" with the extents that FILTER makes.
layout() { jq "del(.path) + {extents: $1}" head >layout.json; }
generation()
{
	expect 0 $V ctl --json a.vhdx generation
	jq '.[0]' out >head
}
unchanged()
{
	cmp a.vhdx as_it_was || fail "$1: it was changed"
}
whole_mib() { echo "[$1 | {start: (.[0] * 2048), length: (.[1] * 2048)}]"; }

pattern 1 50331648 >content
$V create a.vhdx 64M --block-size 1M -q
$V write -q a.vhdx <content
was=$(space a.vhdx)
generation
layout "$(whole_mib '[0,4], [10,3], [40,1]')"
expect 0 $V compact --dry-run --json --layout layout.json a.vhdx
json ".[0].freed_guest == $((40 * 1048576))"
id=$($V inspect --json a.vhdx | jq -r '.[0].data_write_id')
cp a.vhdx as_it_was

# Nonsense, one by one, and what is of something else.
refused()
{
	local code=$1 what=$2
	expect "$code" $V compact --layout bad.json a.vhdx
	says "$what"
	unchanged "$what"
}
bad() { jq "$3" layout.json >bad.json; refused "$1" "$2"; }
bad 2 'of another disk' '.disk_id = "00000000-0000-4000-8000-000000000000"'
bad 2 'another size' '.virtual_size += 512'
bad 2 'another size' '.sector_size = 4096 | .extents = [{start: 0, length: 1}]'
bad 5 'was written since' '.data_write_id = .disk_id'
bad 5 'was written since' '.generation = .data_write_id'
bad 2 'must be UUIDs' '.generation = 7'
bad 2 'must be UUIDs' 'del(.generation)'
bad 2 '"vdisk_layout"' 'del(.vdisk_layout)'
bad 1 'version 2' '.vdisk_layout = 2'
bad 2 '"extent" isn' '.extent = .extents'
bad 2 'nothing of the disk would be left' '.extents = []'
bad 2 'nothing of the disk would be left' 'del(.extents)'
bad 2 'extent 2 begins before' '.extents[1].start = 5'
bad 2 'extent 3 ends behind' '.extents[2].length = 9e15'
bad 2 'extent 1 is empty' '.extents[0].length = 0'
bad 2 'extent 2 has no numbers' '.extents[1] = [1, 2]'
bad 2 'extent 2 has no numbers' '.extents[1].start = -1'
bad 2 'extent 2 has no numbers' '.extents[1].start = 1.5'
bad 2 '"end" isn' '.extents[1].end = 7'
echo '{"vdisk_layout": 1, "vdisk_layout": 1}' >bad.json
refused 2 "isn't JSON"
head -c 100 layout.json >bad.json
refused 2 "isn't JSON"
head -c 300000 /dev/zero | tr '\0' '[' >bad.json
refused 2 "layout: "
yes '{"a":[' | head -400000 >bad.json
refused 2 "131072 extents"
head -c 17000000 /dev/zero >bad.json
expect 1 $V compact --layout bad.json a.vhdx
unchanged "a document of 17 MB"
expect 1 $V compact --layout nowhere.json a.vhdx
expect 2 $V compact --layout layout.json a.vhdx a.vhdx
expect 2 $V compact --layout layout.json --free-space a.vhdx
unchanged "wrong usage"

# A child would see it.
$V create child.vhdx --parent a.vhdx -q
expect 4 $V compact --layout layout.json a.vhdx
says 'child.vhdx has this image as its parent'
rm child.vhdx
unchanged "a child"

expect 0 $V compact --json --layout layout.json a.vhdx
json ".[0] | .complete and .freed_guest == $((40 * 1048576)) and .file_after < .file_before"
[ "$(space a.vhdx)" -lt $((was - 36 * 1048576)) ] || fail "from $was to $(space a.vhdx)"
[ "$id" != "$($V inspect --json a.vhdx | jq -r '.[0].data_write_id')" ] ||
	fail "what a guest can read changed, but DataWriteGuid didn't"
cp content want
for gap in 4:6 13:27 41:7; do
	dd if=/dev/zero of=want bs=1M seek="${gap%:*}" count="${gap#*:}" conv=notrunc status=none
done
truncate -s 64M want
$V read a.vhdx | cmp - want
expect 0 $V check -q a.vhdx
# It is of a generation that is gone now: this very compaction was one that wrote.
expect 5 $V compact --layout layout.json a.vhdx
says 'was written since'

# In use: what is written after the generation began stays, whatever the layout says.
$V write -q a.vhdx <content
generation
layout "$(whole_mib '[0,4]')"
begin a.vhdx -o rw
expect 5 $V compact --layout layout.json a.vhdx
says 'present generation'
generation
layout "$(whole_mib '[0,4]')"
cat "$M/disk" >/dev/null # so that the kernel has it in its cache
pattern 7 65536 | dd of="$M/disk" bs=64k seek=$((20 * 16 + 5)) conv=notrunc,fsync status=none
expect 0 $V ctl --json a.vhdx status
json '.[0].generation | .id == "'"$(jq -r .generation head)"'" and .bytes_written_to == 1048576'
expect 0 $V compact --json --layout layout.json a.vhdx
json ".[0] | .complete and .freed_guest == $((43 * 1048576))"
cp content want
pattern 7 65536 | dd of=want bs=64k seek=$((20 * 16 + 5)) conv=notrunc status=none
for gap in 4:16 21:27; do
	dd if=/dev/zero of=want bs=1M seek="${gap%:*}" count="${gap#*:}" conv=notrunc status=none
done
truncate -s 64M want
cmp "$M/disk" want || fail "what was written after the generation began"
# Another one makes this one stale; nonsense is refused over there, too.
generation
expect 5 $V compact --layout layout.json a.vhdx
jq '.extents = []' layout.json >bad.json
expect 2 $V compact --layout bad.json a.vhdx
says 'nothing of the disk would be left'
end
$V read a.vhdx | cmp - want
expect 0 $V check -q a.vhdx
# Mounted for reading it has the generation that it has at rest, but nothing can be done.
begin a.vhdx
generation
id=$(jq -r .generation head)
end
generation
[ "$(jq -r .generation head)" = "$id" ] || fail "not $id: $(jq -r .generation head)"
# The name that an image in use shows, too, may be that of a session which went on writing.
begin a.vhdx -o rw
pattern 8 65536 | dd of="$M/disk" bs=64k conv=notrunc,fsync status=none
id=$($V inspect --json a.vhdx | jq -r '.[0].file_write_id')
pattern 9 65536 | dd of="$M/disk" bs=64k seek=500 conv=notrunc,fsync status=none
end
[ "$($V inspect --json a.vhdx | jq -r '.[0].file_write_id')" = "$id" ]
generation
jq --arg id "$id" '.generation = $id | del(.path) + {extents: [{start: 0, length: 8192}]}' head >bad.json
cp a.vhdx as_it_was
refused 2 'ctl IMAGE generation'

# A file system that is in use: its bitmaps, read while it is frozen, and files written after that.
need_loop
need mkfs.ext4 dumpe2fs e2fsck fsfreeze
need_filesystem ext4
rm -f a.vhdx
$V create a.vhdx 256M --block-size 1M -q
begin a.vhdx -o rw
attach "$M/disk"
mkfs.ext4 -q -b 4096 "$loop"
mount_fs ext4 "$loop"
for ((i = 0; i < 24; i++)); do
	pattern $((i + 10)) 5000000 >"$T/fs/f$i"
done
sync -f "$T/fs"
for ((i = 0; i < 24; i++)); do
	[ $((i % 4)) = 0 ] || rm "$T/fs/f$i"
done
sync -f "$T/fs"
was=$(space a.vhdx)
generation
fsfreeze -f "$T/fs"
dumpe2fs "$loop" 2>/dev/null >dump || { fsfreeze -u "$T/fs"; fail "dumpe2fs"; }
fsfreeze -u "$T/fs"
# "  Free blocks: 10-20, 30" of each group: what lies between them is in use.
awk 'BEGIN { at = 0 } /^Block count:/ { n = $3 } /^  Free blocks: ./ {
	sub(/.*: /, ""); gsub(/,/, ""); k = split($0, p, " ")
	for (i = 1; i <= k; i++) { split(p[i], r, "-"); if (r[1] > at) print at, r[1] - at
	at = (r[2] ? r[2] : r[1]) + 1 } } END { if (n > at) print at, n - at }' dump >used
jq -R 'split(" ") | {start: (.[0] | tonumber * 8), length: (.[1] | tonumber * 8)}' used |
	jq -s . >extents
jq --slurpfile e extents 'del(.path) + {extents: $e[0]}' head >layout.json
(
	for ((i = 0; i < 20; i++)); do
		pattern $((i + 100)) 1500000 >"$T/fs/after$i"
		sync "$T/fs/after$i"
	done
	touch written
) &
writer=$!
sleep 0.3
expect 0 $V compact --json --layout layout.json a.vhdx
json '.[0] | .freed_guest > 30000000'
wait $writer
[ -e written ] || fail "the writer"
for ((i = 0; i < 24; i += 4)); do
	pattern $((i + 10)) 5000000 | cmp - "$T/fs/f$i" || fail "f$i"
done
umount "$T/fs"
e2fsck -fn "$loop" >out 2>&1 || fail "e2fsck: $(cat out)"
mount_fs ext4 "$loop"
for ((i = 0; i < 20; i++)); do
	pattern $((i + 100)) 1500000 | cmp - "$T/fs/after$i" || fail "after$i"
done
for ((i = 0; i < 24; i += 4)); do
	pattern $((i + 10)) 5000000 | cmp - "$T/fs/f$i" || fail "f$i, after mounting again"
done
umount "$T/fs"
detach
end
expect 0 $V check -q a.vhdx
echo "count: MiB before the layout $((was >> 20))"
echo "count: MiB after it, with 30 MB written meanwhile $(($(space a.vhdx) >> 20))"
