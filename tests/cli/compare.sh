#!/bin/bash
# SPDX-License-Identifier: MIT
# compare: content counts, holes don't; 6 with the first offset that differs.
. "$(dirname "$0")/../support/cli.sh"
need jq

"$V" create a.vhdx 64M
"$V" create --block-size 1M b.vhdx 64M
expect 0 "$V" compare a.vhdx b.vhdx
pattern 1 3M | "$V" write --offset 5M a.vhdx
expect 6 "$V" compare a.vhdx b.vhdx
first=$("$V" read --offset 5M --length 16 a.vhdx | tr -d '\0' | wc -c)
[ "$first" = 0 ] && fail "the pattern begins with zeros"
shows "differ, first at offset 5242880"
pattern 1 3M | "$V" write --offset 5M b.vhdx
expect 0 "$V" compare a.vhdx b.vhdx
shows "same content"

# Written zeros are no different from nothing.
head -c 2M /dev/zero | "$V" write --offset 20M a.vhdx
expect 0 "$V" compare a.vhdx b.vhdx

# One byte, at any place: in the middle of a piece, the last of the disk.
printf X | "$V" write --offset $((40 * 1048576 + 12345)) b.vhdx
expect 6 "$V" compare --json a.vhdx b.vhdx
json ".[0] | .equal == false and .first_difference == $((40 * 1048576 + 12345)) and .path == \"a.vhdx\" and .other == \"b.vhdx\""
printf X | "$V" write --offset $((40 * 1048576 + 12345)) a.vhdx
printf X | "$V" write --offset $((64 * 1048576 - 1)) a.vhdx
expect 6 "$V" compare a.vhdx b.vhdx
shows "offset 67108863"
expect 6 "$V" compare b.vhdx a.vhdx
shows "offset 67108863"
printf X | "$V" write --offset $((64 * 1048576 - 1)) b.vhdx
expect 0 "$V" compare --json a.vhdx b.vhdx
json '.[0] | .equal == true and .first_difference == null'

# Different sizes: the rest of the longer one must be zero, unless --strict.
"$V" create l.vhdx 80M
"$V" create s.vhdx 64M
expect 0 "$V" compare l.vhdx s.vhdx
says "note: the sizes differ"
expect 6 "$V" compare --strict l.vhdx s.vhdx
shows "offset 67108864"
printf X | "$V" write --offset 70M l.vhdx
expect 6 "$V" compare s.vhdx l.vhdx
shows "offset 73400320"

# A child against its parent.
"$V" create --parent a.vhdx c.vhdx
expect 0 "$V" compare a.vhdx c.vhdx
printf Y | "$V" write --offset 6M c.vhdx
expect 6 "$V" compare a.vhdx c.vhdx

expect 1 "$V" compare a.vhdx missing.vhdx
says "missing.vhdx"
expect 2 "$V" compare a.vhdx
