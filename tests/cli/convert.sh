#!/bin/bash
# SPDX-License-Identifier: MIT
# convert: content, holes, sizes, stdin and stdout, --verify, --force.
. "$(dirname "$0")/../support/cli.sh"
need jq

# A disk with data, explicit zeros and holes.
truncate -s 100M s.raw
pattern 1 3M | dd of=s.raw bs=1M seek=5 conv=notrunc iflag=fullblock status=none
head -c 10M /dev/zero | dd of=s.raw bs=1M seek=20 conv=notrunc iflag=fullblock status=none
pattern 2 70000 | dd of=s.raw bs=1 seek=$((50 * 1048576 + 513)) conv=notrunc status=none
sum=$(sha256sum s.raw)

expect 0 "$V" convert s.raw d.vhdx
silent
expect 0 "$V" compare s.raw d.vhdx
expect 0 "$V" convert --format raw d.vhdx back.raw
cmp s.raw back.raw || fail "content"
# The zeros take no space: 3 MiB and one or two pieces of 64 KiB do. Where the file system shares extents,
# nobody looks what is in them.
shares=
! cp --reflink=always s.raw shared 2>/dev/null || shares=1
is_sparse() { [ -n "$shares" ] || [ "$(stat -c %b "$1")" -le $(((3072 + 256) * 2)) ]; }
is_sparse back.raw || fail "zeros take space: $(stat -c %b back.raw) blocks"
expect 0 "$V" inspect --blocks --json d.vhdx
[ -n "$shares" ] || json '.[0].blocks.present == 3'
[ "$sum" = "$(sha256sum s.raw)" ] || fail "the source changed"

# All kinds of targets, verified.
for options in "--block-size 1M" "--block-size 256M" "--sector-size 4096" "--type fixed"; do
	# shellcheck disable=SC2086
	expect 0 "$V" convert --force --verify $options s.raw k.vhdx
	expect 0 "$V" compare s.raw k.vhdx
done
expect 0 "$V" convert --force --format raw --type fixed s.raw k.raw
[ "$(stat -c %b k.raw)" -ge 204800 ] || fail "fixed raw has holes"
cmp s.raw k.raw || fail "fixed raw"
expect 0 "$V" convert --json --force --verify d.vhdx k.vhdx
json '.[0] | .path == "k.vhdx" and .source == "d.vhdx" and .format == "vhdx" and .verified == true and
	.virtual_size == 104857600 and .bytes_written + .bytes_shared >= 3145728 and .bytes_written <= 3407872'

# vhdx to vhdx keeps the guest's view of sectors; a chain becomes one image.
expect 0 "$V" convert --sector-size 4096 s.raw q.vhdx
expect 0 "$V" convert q.vhdx q2.vhdx
expect 0 "$V" inspect --json q2.vhdx
json '.[0].logical_sector_size == 4096'
expect 0 "$V" create --parent d.vhdx c.vhdx
pattern 3 1M | "$V" write --offset 6M c.vhdx
expect 0 "$V" convert c.vhdx flat.vhdx
expect 0 "$V" compare c.vhdx flat.vhdx
expect 0 "$V" inspect --json flat.vhdx
json '.[0].parent == null'

# The new disk is another disk, unless told otherwise.
id=01234567-89ab-cdef-0123-456789abcdef
expect 0 "$V" convert --uuid $id s.raw u1.vhdx
expect 0 "$V" inspect --json u1.vhdx
json ".[0].disk_id == \"$id\""
expect 0 "$V" convert u1.vhdx u2.vhdx
expect 0 "$V" inspect --json u2.vhdx
json ".[0].disk_id != \"$id\""

# A size that isn't whole sectors is rounded up, with a note.
head -c 1000001 s.raw >odd.raw
pattern 4 1000001 >odd.raw
expect 0 "$V" convert --verify odd.raw odd.vhdx
says "note: odd.raw: 1000001 bytes"
expect 0 "$V" inspect --json odd.vhdx
json '.[0].virtual_size == 1000448'
cmp <("$V" read --length 1000001 odd.vhdx) odd.raw || fail "odd size"

# stdin and stdout.
"$V" convert d.vhdx - >o.raw || fail "to stdout"
cmp s.raw o.raw || fail "stdout to a file"
is_sparse o.raw || fail "stdout to a file isn't sparse"
"$V" convert d.vhdx - | cmp - s.raw || fail "stdout to a pipe"
{
	echo header
	"$V" convert d.vhdx -
} >>o2.raw
cmp <(tail -c +8 o2.raw) s.raw || fail "appended stdout"
expect 0 "$V" convert - i.vhdx <s.raw
expect 0 "$V" compare s.raw i.vhdx
got=0
pattern 1 3M | "$V" convert --size 3M - p.vhdx || got=$?
[ $got = 0 ] || fail "stdin from a pipe: $got"
"$V" read p.vhdx | cmp - <(pattern 1 3M) || fail "stdin from a pipe"
got=0
pattern 1 3M | "$V" convert - n.vhdx 2>err || got=$?
[ $got = 2 ] || fail "pipe without --size: $got"
says "--size"
got=0
pattern 1 2M | "$V" convert --size 3M - n.vhdx 2>err || got=$?
[ $got = 1 ] || fail "stdin too short: $got"
says "ended after 2097152 bytes of 3145728"
got=0
pattern 1 4M | "$V" convert --size 3M - n.vhdx 2>err || got=$?
[ $got = 1 ] || fail "stdin too long: $got"
says "goes on beyond"
[ ! -e n.vhdx ] || fail "a half-read stdin made an image"
expect 2 "$V" convert --format vhdx d.vhdx -
expect 2 "$V" convert --verify - n.vhdx <s.raw
expect 2 "$V" convert --source-format vhdx - n.vhdx <d.vhdx

# What exists is not replaced unasked; the source never.
expect 1 "$V" convert s.raw d.vhdx
says "d.vhdx: exists already"
expect 2 "$V" convert --force s.raw s.raw
says "is the source itself"
ln s.raw hard.raw
expect 2 "$V" convert --force --format raw s.raw hard.raw
expect 1 "$V" convert missing.raw n.vhdx
expect 3 "$V" convert --source-format vhdx s.raw n.vhdx
[ ! -e n.vhdx ] || fail "a failure made an image"
[ "$sum" = "$(sha256sum s.raw)" ] || fail "the source changed"
no_leftovers

# Progress for programs.
expect 0 "$V" convert --progress json s.raw pj.vhdx
tail -n 1 err | jq -e '.done == .total and .total == 104857600' >/dev/null || fail "--progress json"
expect 0 "$V" convert --progress plain s.raw pp.vhdx
says "converting: 100 %"
