#!/bin/bash
# SPDX-License-Identifier: MIT
# A mount without options: what it shows, that nothing can be changed, and what it refuses.
. "$(dirname "$0")/../support/mounts.sh"
need_root
need qemu-img jq

$V create a.vhdx 64M -q
pattern 1 3000000 >data
$V write a.vhdx --offset 1000001 <data
$V discard a.vhdx --offset 40M --length 2M
before=$(hash_of a.vhdx)
begin a.vhdx
[ "$(ls "$M" | tr '\n' ' ')" = "disk info.json meta " ] || fail "there is $(ls "$M")"
[ "$(stat -c %s "$M/disk")" = 67108864 ] || fail "size $(stat -c %s "$M/disk")"
qemu-img convert -O raw a.vhdx a.raw
cmp "$M/disk" a.raw
# Odd places and lengths, past the page cache too.
for at in 0 999999 1000001 2097151 3999999 67108000; do
	dd if="$M/disk" bs=1 skip="$at" count=777 status=none >piece
	dd if=a.raw bs=1 skip="$at" count=777 status=none | cmp - piece
done
dd if="$M/disk" bs=1M iflag=direct status=none | cmp - a.raw
jq -e '.mode == "ro" and .format == "vhdx" and .virtual_size == 67108864' "$M/info.json" >/dev/null
[ -z "$(ls "$M/meta")" ] || fail "metadata where there is none"
if (: >"$M/disk") 2>/dev/null; then fail "could be opened for writing"; fi
if fallocate -p -o 0 -l 4096 "$M/disk" 2>/dev/null; then fail "could be punched"; fi
if touch "$M/new" 2>/dev/null; then fail "a file could be made"; fi
# The room is the host's, not the disk's.
[ "$(stat -f -c %b:%S "$M")" = "$(stat -f -c %b:%S "$T")" ] || fail "statfs isn't the host's"
# Others may read beside us, nobody may write.
$V read a.vhdx --length 512 >/dev/null
expect 5 $V write a.vhdx --length 512 </dev/zero
says "in use by vdfuse"
end
[ "$(hash_of a.vhdx)" = "$before" ] || fail "a read-only mount changed the file"

# A file may end before its last block does: what lies behind its end reads as zero.
$V create short.vhdx 16M -q
$V write short.vhdx --offset 4M <data
truncate -s -512K short.vhdx
$V read short.vhdx >want
cmp -n 3000000 -i 4194304:0 want data
begin short.vhdx
cmp "$M/disk" want || fail "the end of a file that ends early"
end

# Refusals come on stderr with vdtool's exit codes, and nothing stays mounted.
head -c 3145728 /dev/zero >broken.vhdx
printf vhdxfile | dd of=broken.vhdx conv=notrunc status=none
expect 3 "$VDFUSE" broken.vhdx "$M"
says "broken.vhdx: "
expect 1 "$VDFUSE" nothing.vhdx "$M"
expect 1 "$VDFUSE" a.vhdx nowhere
expect 2 "$VDFUSE" a.vhdx
expect 2 "$VDFUSE" -o no_such_option a.vhdx "$M"
says "no_such_option"
expect 2 "$VDFUSE" -o umask=9 a.vhdx "$M"
expect 0 "$VDFUSE" --help
shows "info.json"
expect 0 "$VDFUSE" --version
if mountpoint -q "$M"; then fail "still mounted"; fi
