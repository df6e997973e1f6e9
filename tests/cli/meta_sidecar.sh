#!/bin/bash
# SPDX-License-Identifier: MIT
# Images that can't hold metadata, or mustn't be touched: sidecars.
. "$(dirname "$0")/../support/cli.sh"
need jq

untouched()
{
	[ "$(stat -c '%Y %Z %s %b' "$1") $(sha256sum <"$1")" = "$2" ] || fail "$1 was touched"
}
state()
{
	echo "$(stat -c '%Y %Z %s %b' "$1") $(sha256sum <"$1")"
}

# Beside a raw image, found by itself.
"$V" create --format raw r.raw 4M
pattern 1 4M | "$V" write r.raw
was=$(state r.raw)
expect 0 "$V" tag r.raw +evidence env=prod
[ -e r.raw.vdmeta ] || fail "no sidecar"
untouched r.raw "$was"
expect 0 "$V" tag --json r.raw
json '.[0].tags == {words: ["evidence"], pairs: {env: "prod"}}'
expect 0 "$V" inspect r.raw
shows "tags      evidence env=prod"
expect 0 "$V" meta list --json r.raw
json '.[0].place == "sidecar" and .[0].sidecar == "r.raw.vdmeta"'
expect 0 "$V" check r.raw.vdmeta
expect 0 qemu-img check r.raw.vdmeta

# Writing the disk is an entry in it.
echo x | "$V" write r.raw
expect 0 "$V" log --json r.raw
json '[.[0].entries[].operation] == ["tag", "write"]'

# The sidecar of another image is named as such.
"$V" create --format raw other.raw 8M
cp r.raw.vdmeta other.raw.vdmeta
expect 0 "$V" inspect --json other.raw
json '.[0].metadata.mismatch | length > 0'
expect 3 "$V" meta validate other.raw

# In a folder of its own: the image and its folder stay as they are.
mkdir media notes
"$V" create media/disk.vhdx 8M
"$V" tag media/disk.vhdx +inside
cp r.raw media/disk.raw
chmod a-w media/disk.vhdx media/disk.raw media
was_v=$(state media/disk.vhdx) was_r=$(state media/disk.raw)
for image in media/disk.vhdx media/disk.raw; do
	expect 0 "$V" tag --sidecar notes $image +seen
	expect 0 "$V" meta set --sidecar notes $image title=Exhibit
	expect 0 "$V" tag --sidecar notes --json $image
	json '.[0].tags.words == ["seen"]'
	expect 0 "$V" inspect --sidecar notes $image
	shows Exhibit
	expect 0 "$V" log --sidecar notes --json $image
	json '.[0].entries | length == 2'
done
untouched media/disk.vhdx "$was_v"
untouched media/disk.raw "$was_r"
[ "$(find media -type f | wc -l)" = 2 ] || fail "something was made beside the images"
[ "$(find notes -type f -name '*.vdmeta' | wc -l)" = 2 ] || fail "two sidecars"
# Without the option a VHDX's own items count.
expect 0 "$V" tag --json media/disk.vhdx
json '.[0].tags.words == ["inside"]'
expect 1 "$V" tag --sidecar nowhere r.raw +x
chmod u+w media

# From and to sidecars by convert, and back.
expect 0 "$V" convert r.raw r.vhdx
expect 0 "$V" tag --json r.vhdx
json '.[0].tags == {words: ["evidence"], pairs: {env: "prod"}}'
expect 0 "$V" convert --format raw r.vhdx back.raw
[ -e back.raw.vdmeta ] || fail "no sidecar for the copy"
expect 0 "$V" meta diff r.raw back.raw
expect 0 "$V" log --json back.raw
json '[.[0].entries[].operation] == ["tag", "write", "convert", "convert"]'
expect 0 "$V" convert --source-sidecar notes media/disk.raw m.vhdx
expect 0 "$V" meta get m.vhdx title
expect 0 "$V" convert --sidecar notes r.raw s.vhdx
expect 0 "$V" tag s.vhdx
shows "s.vhdx   -"
expect 0 "$V" tag --sidecar notes s.vhdx
shows evidence
# A replaced image doesn't inherit the sidecar of the one before it.
"$V" create plain.vhdx 4M
expect 0 "$V" convert --force --format raw plain.vhdx back.raw
expect 0 "$V" tag back.raw
shows "back.raw   -"
# stdout holds a disk only.
expect 0 "$V" convert r.vhdx - >/dev/null
says "stays behind"

# A link in its place isn't followed for writing: it could lead anywhere.
"$V" create --format raw linked.raw 4M
"$V" create target.vhdx 4M
ln -s target.vhdx linked.raw.vdmeta
was=$(sha256sum <target.vhdx)
expect 4 "$V" tag linked.raw +x
says "symbolic link"
[ "$(sha256sum <target.vhdx)" = "$was" ] || fail "the target of the link was written"

# A damaged sidecar is told, and the disk is read all the same.
printf 'garbage' | dd of=r.raw.vdmeta conv=notrunc status=none
expect 0 "$V" inspect r.raw
expect 0 "$V" read --length 1M r.raw
no_leftovers
