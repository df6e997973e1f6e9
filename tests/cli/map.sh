#!/bin/bash
# SPDX-License-Identifier: MIT
# map: extents cover the disk without gaps, and say where the bytes are.
. "$(dirname "$0")/../support/cli.sh"
need jq

"$V" create base.vhdx 64M
pattern 1 4M | "$V" write --offset 8M base.vhdx
"$V" create --parent base.vhdx child.vhdx
pattern 2 2M | "$V" write --offset 32M child.vhdx

covers_disk='.[0].extents | (reduce .[] as $e (0; if . == $e.start then $e.start + $e.length else -1 end)) == 67108864'
expect 0 "$V" map --json base.vhdx
json '.[0].path == "base.vhdx"'
json "$covers_disk"
json '.[0].extents | map(select(.state == "data")) | length == 1 and .[0].start == 8388608 and .[0].length == 4194304 and .[0].depth == 0'
json '.[0].extents | map(select(.state != "data")) | all(.offset == null and .state == "hole")'

# The offset is where the bytes really are.
at=$(jq '.[0].extents[] | select(.state == "data").offset' out)
cmp <(pattern 1 4M) <(tail -c +$((at + 1)) base.vhdx | head -c 4M) || fail "wrong file offset"

expect 0 "$V" map --json child.vhdx
json "$covers_disk"
json '.[0].extents | map(select(.state == "data")) | map([.start, .depth]) == [[8388608, 1], [33554432, 0]]'
expect 0 "$V" map --json --no-parents child.vhdx
json "$covers_disk"
json '.[0].extents | map(.state) == ["parent", "data", "parent"]'

# Without its parent: shown as such, with a note.
mv base.vhdx gone.vhdx
expect 0 "$V" map --json child.vhdx
json '.[0].extents | map(.state) == ["parent", "data", "parent"]'
says "note: child.vhdx: shown without its parent"
expect 0 "$V" map --quiet child.vhdx
silent
mv gone.vhdx base.vhdx

# A part, a table, a line an object, raw.
expect 0 "$V" map --json --offset 9M --length 1M base.vhdx
json '.[0].extents | length == 1 and .[0].start == 9437184 and .[0].length == 1048576'
expect 2 "$V" map --offset 65M base.vhdx
expect 2 "$V" map --offset 63M --length 2M base.vhdx
expect 0 "$V" map base.vhdx
grep -qE '^ +8388608 +4194304 +data +0 +[0-9]+$' out || fail "table"
expect 0 "$V" map --jsonl base.vhdx child.vhdx
[ "$(wc -l <out)" = 2 ] || fail "--jsonl"
truncate -s 64M r.raw
pattern 3 64K | dd of=r.raw bs=64K seek=16 conv=notrunc status=none
expect 0 "$V" map --json r.raw
json "$covers_disk"
json '.[0].extents | map(select(.state == "data")) | .[0].offset == 1048576'
expect 1 "$V" map missing.vhdx
