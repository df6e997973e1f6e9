#!/bin/bash
# SPDX-License-Identifier: MIT
# inspect: keys of the contract, parents that can't be opened, images in use, damaged ones.
. "$(dirname "$0")/../support/cli.sh"
need jq

"$V" create base.vhdx 64M
pattern 1 3M | "$V" write --offset 2M base.vhdx
"$V" create --parent base.vhdx child.vhdx
"$V" create --format raw r.raw 1M

expect 0 "$V" inspect --json base.vhdx child.vhdx r.raw
json 'length == 3'
json '.[] | has("path") and has("format") and has("type") and has("virtual_size") and
	has("file_size") and has("allocated_size") and has("block_size") and
	has("logical_sector_size") and has("physical_sector_size") and has("disk_id") and
	has("data_write_id") and has("file_write_id") and has("parent") and has("dirty_log") and
	has("in_use") and has("metadata")'
json ".[0].file_size == $(stat -c %s base.vhdx)"
json ".[0].allocated_size == $(stat -c '%b * 512' base.vhdx | tr -d ' ' | sed 's/\*/ * /')"
json '.[1].parent.linkage | ascii_downcase | contains("-")'
json '.[0].data_write_id as $id | .[1].parent.linkage | ascii_downcase | contains($id)'
json '.[2] | .format == "raw" and .disk_id == null and .parent == null'
json '.[0].in_use == null'

# JSON lines: one object a line.
expect 0 "$V" inspect --jsonl base.vhdx r.raw
[ "$(wc -l <out)" = 2 ] || fail "--jsonl isn't a line an object"
while read -r line; do
	jq -e 'has("path")' >/dev/null <<<"$line" || fail "--jsonl: $line"
done <out

# Blocks: 3 MiB from 2 MiB on are blocks 1 and 2 of 32.
expect 0 "$V" inspect --blocks --json base.vhdx
json '.[0].blocks | .total == 32 and .present == 2 and .not_present == 30'
expect 0 "$V" inspect --blocks base.vhdx
shows "32 in all: 2 present"

# For people.
expect 0 "$V" inspect base.vhdx
grep -qE '^base.vhdx   VHDX dynamic, 64 MiB, .* on disk, 2 MiB blocks, clean$' out || fail "headline"
expect 0 "$V" inspect child.vhdx
grep -q "parent  .*base.vhdx  (VHDX dynamic, 64 MiB)" out || fail "parent line"

# A parent that can't be opened: a reason, and no failure.
mv base.vhdx gone.vhdx
expect 0 "$V" inspect child.vhdx
shows "can't be opened: "
shows base.vhdx
expect 0 "$V" inspect --json child.vhdx
json '.[0].parent | .path == null and (.error.text | length) > 0 and (.relative_path | test("base.vhdx"))'
mv gone.vhdx base.vhdx

# In use: said, with the process, and looking isn't refused.
mkfifo pipe
"$V" write base.vhdx <pipe &
holder=$!
exec 9>pipe
is_in_use()
{
	"$V" inspect --json base.vhdx | jq -e '.[0].in_use != null'
}
wait_for is_in_use
expect 0 "$V" inspect base.vhdx
shows "in use by vdtool (pid $holder)"
exec 9>&-
wait $holder

# Several images: the good ones are shown, the exit code is the worst one's.
printf 'vhdxfile' >broken.vhdx
truncate -s 4M broken.vhdx
expect 3 "$V" inspect base.vhdx broken.vhdx missing.vhdx
shows "base.vhdx   VHDX"
says "vdtool: broken.vhdx: "
says "vdtool: missing.vhdx: "
expect 1 "$V" inspect missing.vhdx base.vhdx
expect 3 "$V" inspect --json base.vhdx broken.vhdx missing.vhdx
json 'length == 3 and .[1].error.code == "corrupt" and (.[2].error.text | length) > 0'

# Other formats are named and refused, unless raw is forced.
{
	printf 'QFI\373\0\0\0\003'
	head -c 1M /dev/zero
} >other.qcow2
truncate -s 2M other.qcow2
expect 1 "$V" inspect other.qcow2
says qcow2
expect 0 "$V" inspect --source-format raw other.qcow2
