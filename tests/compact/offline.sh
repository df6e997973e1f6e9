#!/bin/bash
# SPDX-License-Identifier: MIT
# vdtool compact on an image that nobody has open: what it gives back, what it leaves alone, what
# it says, and that the disk reads the same before and after.
. "$(dirname "$0")/../support/cli.sh"
need jq qemu-img

space() { echo $(($(stat -c %b "$1") * 512)); }
length() { stat -c %s "$1"; }
content() { $V read "$1" | sha256sum; }
# put IMAGE BLOCK SEED: a block of 1 MiB full of data.
put() { pattern "$3" 1048576 | $V write -q "$1" --offset "$2M"; }
good()
{
	expect 0 $V check -q "$1"
	qemu-img check -q "$1" || fail "qemu-img finds $1 wrong"
	qemu-img convert -U -f vhdx -O raw "$1" other.raw
	[ "$(sha256sum <other.raw)" = "$2" ] || fail "QEMU reads something else from $1"
	rm other.raw
	[ "$(content "$1")" = "$2" ] || fail "$1 reads other content"
}

# Blocks come and go.
$V create a.vhdx 64M --block-size 1M -q
pattern 1 41943040 | $V write -q a.vhdx
for ((i = 1; i < 40; i += 4)); do
	$V discard a.vhdx --offset ${i}M --length 3M -q
done
before=$(content a.vhdx)
guid=$($V inspect --json a.vhdx | jq -r '.[0].data_write_id')
cp --sparse=always a.vhdx copy.vhdx
expect 0 $V compact --dry-run --json a.vhdx
cmp a.vhdx copy.vhdx || fail "a dry run changed the image"
cp out dry
json '.[0] | .dry_run and .level == "pack" and .file_after < .file_before and .moves == 0'
was=$(length a.vhdx)
expect 0 $V compact --json a.vhdx
json '.[0] | .complete and .moves > 0 and .deferred == 0'
jq -e --slurpfile dry dry '.[0] as $run | $dry[0][0] | .file_after == $run.file_after and
	.moves_planned == $run.moves and .bytes_copied == $run.bytes_copied + $run.bytes_shared and
	.file_before == $run.file_before' out >/dev/null || fail "the dry run said something else: $(cat dry)"
[ "$(length a.vhdx)" -lt "$was" ] || fail "the file is as long as before"
[ "$(jq '.[0].file_after' out)" = "$(length a.vhdx)" ] || fail "it isn't as long as it says"
[ "$(jq '.[0].allocated_after' out)" = "$(space a.vhdx)" ] || fail "st_blocks isn't what it says"
# 10 blocks, and the structures.
[ "$(space a.vhdx)" -le $((10485760 * 105 / 100 + 5242880)) ] || fail "it holds $(space a.vhdx)"
good a.vhdx "$before"
[ "$guid" = "$($V inspect --json a.vhdx | jq -r '.[0].data_write_id')" ] ||
	fail "the content is the same, but not DataWriteGuid"
# Once more: nothing is left to do.
cp --sparse=always a.vhdx copy.vhdx
expect 0 $V compact --json a.vhdx
json '.[0] | .complete and .moves == 0 and .file_after == .file_before'
expect 0 $V compact --json --dry-run a.vhdx
json '.[0] | .complete and .moves_planned == 0 and .file_after == .file_before'

# Words for people.
$V discard a.vhdx --offset 0 --length 1M -q
expect 0 $V compact a.vhdx
shows 'a.vhdx  '
shows ' -> '
silent

# Punch leaves the length; defrag brings order.
for ((i = 39; i >= 20; i--)); do
	put a.vhdx $i $i
done
for ((i = 20; i < 40; i += 2)); do
	$V discard a.vhdx --offset ${i}M --length 1M -q
done
before=$(content a.vhdx)
was=$(length a.vhdx)
expect 0 $V compact --level punch --json a.vhdx
json '.[0] | .moves == 0 and .file_after == .file_before and .level == "punch"'
[ "$was" = "$(length a.vhdx)" ]
expect 0 $V compact --level defrag --json a.vhdx
json '.[0].complete and .[0].moves > 0'
good a.vhdx "$before"
$V map --json a.vhdx | jq -e '[.[0].extents[] | select(.state == "data") | .offset] | . == sort' \
	>/dev/null || fail "blocks aren't in order: $($V map a.vhdx)"
expect 2 $V compact --level squeeze a.vhdx

# Zeros that were written: found only by looking.
$V create z.vhdx 32M --block-size 1M -q
put z.vhdx 0 1
head -c 4M /dev/zero | $V write -q z.vhdx --offset 4M
put z.vhdx 9 2
head -c 700000 /dev/zero | $V write -q z.vhdx --offset $((9 * 1048576 + 100000))
before=$(content z.vhdx)
expect 0 $V compact --json z.vhdx
json '.[0].dropped_zero == 0'
was=$(space z.vhdx)
expect 0 $V compact --json --zero-scan --dry-run z.vhdx
json '.[0].dropped_zero == 4194304'
cp out dry
expect 0 $V compact --json --zero-scan z.vhdx
json '.[0] | .dropped_zero == 4194304 and .punched >= 600000'
[ "$(jq '.[0].file_after' dry)" = "$(length z.vhdx)" ] || fail "--zero-scan: the dry run was wrong"
[ "$(space z.vhdx)" -le $((was - 4194304 - 600000)) ] || fail "from $was to $(space z.vhdx)"
good z.vhdx "$before"

# A child keeps showing zeros where the parent has data, and the parent isn't touched.
$V create parent.vhdx 32M --block-size 1M -q
pattern 100 16777216 | $V write -q parent.vhdx
$V create child.vhdx --parent parent.vhdx -q
pattern 200 16777216 | $V write -q child.vhdx --offset 4M
pattern 7 300000 | $V write -q child.vhdx --offset 700000
for ((i = 4; i < 20; i += 3)); do
	$V discard child.vhdx --offset ${i}M --length 2M -q
done
parent=$(sha256sum <parent.vhdx)
before=$(content child.vhdx)
expect 0 $V compact --zero-scan --json child.vhdx
json '.[0] | .complete and .file_after < .file_before and .moves > 0'
[ "$(content child.vhdx)" = "$before" ] || fail "the child reads other content"
[ "$(sha256sum <parent.vhdx)" = "$parent" ] || fail "the parent changed"
expect 0 $V check -q child.vhdx
expect 0 $V compact --json parent.vhdx
[ "$(content child.vhdx)" = "$before" ] || fail "the child reads other content than before"

# Formats and kinds without anything to gain.
truncate -s 1M r.raw
expect 1 $V compact r.raw
$V create f.vhdx 8M --type fixed -q
before=$(content f.vhdx)
expect 0 $V compact --json f.vhdx
json '.[0] | .file_before == .file_after and .moves == 0'
good f.vhdx "$before"

# Several: each has its say, the worst exit code wins.
cp a.vhdx b.vhdx
expect 1 $V compact --json a.vhdx nothing.vhdx b.vhdx
json 'length == 3 and .[0].complete and .[1].error and .[2].complete'
# Both headers.
for at in 64 128; do
	head -c 4096 /dev/zero | dd of=b.vhdx bs=1K seek=$at conv=notrunc status=none
done
expect 3 $V compact b.vhdx

# The history has it, if there is one; else nothing is added.
expect 0 $V compact a.vhdx
expect 0 $V log --json a.vhdx
json '(.[0].entries | length) == 0'
$V tag -q a.vhdx +x
expect 0 $V compact --zero-scan --actor ann a.vhdx
expect 0 $V log --json a.vhdx
json '.[0].entries[-1] | .operation == "compact" and .actor == "ann" and
	.parameters == "--level pack --zero-scan"'
n=$(jq '.[0].entries | length' out)
expect 0 $V compact --dry-run a.vhdx
expect 0 $V log --json a.vhdx
json "(.[0].entries | length) == $n"
