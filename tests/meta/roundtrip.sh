#!/bin/bash
# SPDX-License-Identifier: MIT
# Every category, a vendor's document and a big attachment go in and come out; QEMU and libvhdi are
# content after each step, the payload stays, QEMU's writing loses nothing, and items of others
# survive whatever is done to ours.
# test-timeout: 400
. "$(dirname "$0")/../support/cli.sh"
need jq qemu-img qemu-io vhdiinfo
item=$B/tests/meta/itemctl
image=web.vhdx

payload_of()
{
	rm -f payload.raw
	qemu-img convert -f vhdx -O raw "$1" payload.raw
	sha256sum <payload.raw
}

# Items as Windows' SetVirtualDiskMetadata makes them: any GUID, of the file or of the disk.
foreign=(aaaaaaaa-0001-4000-8000-000000000001 aaaaaaaa-0002-4000-8000-000000000002
	aaaaaaaa-0003-4000-8000-000000000003)
make_foreign()
{
	printf 'small' | "$item" put $image "${foreign[0]}" 1
	printf x | "$item" put $image "${foreign[1]}" 3
	head -c 200000 foreign.bin | "$item" put $image "${foreign[2]}" 3
}
check_foreign()
{
	[ "$("$item" get $image "${foreign[0]}")" = small ] || fail "$1: a foreign item changed"
	[ "$("$item" get $image "${foreign[1]}")" = x ] || fail "$1: a foreign item changed"
	"$item" get $image "${foreign[2]}" | cmp - <(head -c 200000 foreign.bin) || fail "$1: a foreign item changed"
	"$item" list $image | grep -q "^${foreign[0]} 1 " || fail "$1: flags"
	"$item" list $image | grep -q "^${foreign[2]} 3 " || fail "$1: flags"
}
step()
{
	local name=$1
	shift
	expect 0 "$@"
	expect 0 qemu-img check $image
	expect 0 vhdiinfo $image
	expect 0 "$V" check $image
	[ "$sum" = "$(payload_of $image)" ] || fail "$name: the payload changed"
	check_foreign "$name"
}

head -c 900K /dev/urandom >attached.bin
head -c 256K /dev/urandom >foreign.bin
"$V" create $image 64M
pattern 1 5M | "$V" write --offset 3M $image
make_foreign
sum=$(payload_of $image)
data_id=$("$V" inspect --json $image | jq -r '.[0].data_write_id')

# ---- in
declare -A document
for file in "$TOP"/metadata-schema/examples/valid/*.xml; do
	category=$(basename "$file" .xml)
	category=${category%%-*}
	[ "$category" = history ] && continue
	grep -q "urn:libvdisk:$category:1" "$file" || continue
	[ -z "${document[$category]:-}" ] || continue
	document[$category]=$file
	step "$category" "$V" meta set $image "$category" "$file"
done
for category in content hardware host validity rights patches network tags configuration state; do
	[ -n "${document[$category]:-}" ] || fail "no example of $category"
done
cat >vendor.xml <<X
<?xml version="1.0"?>
<v:box xmlns:v="urn:example:vendor"><!-- kept --><v:x a="1">&lt;text&gt;</v:x></v:box>
X
step vendor "$V" meta set $image urn:example:vendor vendor.xml
# Without a document that names it: those above are to come out as they went in.
step attachment "$V" meta attach --kind none $image attached.bin

# ---- out
verify()
{
	local category
	for category in "${!document[@]}"; do
		"$V" meta get $image "$category" >got
		cmp -s got "${document[$category]}" || fail "$1: $category changed"
	done
	"$V" meta get $image urn:example:vendor | cmp - vendor.xml || fail "$1: the vendor's document"
	"$V" meta extract $image attached.bin - | cmp - attached.bin || fail "$1: the attachment"
	expect 0 "$V" meta validate $image
	expect 0 "$V" log --verify $image
}
verify "after all went in"
[ "$data_id" = "$("$V" inspect --json $image | jq -r '.[0].data_write_id')" ] || fail "the data id changed"
[ "$("$V" log --json $image | jq '.[0].entries | length')" = "$((${#document[@]} + 2))" ] || fail "the history's length"

# ---- QEMU writes, into old and new blocks, and replays nothing of ours away
"$item" list $image | awk '{ print $1, $2, $3 }' >items
while read -r id _; do
	"$item" get $image "$id" >"item.$id"
done <items
expect 0 qemu-io -f vhdx -c "write -q -P 1 4M 1M" -c "write -q -P 2 30M 5M" -c "write -q -P 3 63M 1M" -c flush $image
expect 0 qemu-img check $image
"$item" list $image | awk '{ print $1, $2, $3 }' | cmp - items || fail "QEMU changed the table of items"
while read -r id _; do
	"$item" get $image "$id" | cmp - "item.$id" || fail "QEMU changed item $id"
done <items
verify "after QEMU wrote"
[ "$("$V" read --offset 30M --length 5M $image | tr -d '\002' | wc -c)" = 0 ] || fail "what QEMU wrote"
sum=$(payload_of $image)
step "tag after QEMU" "$V" tag $image +after-qemu

# ---- every kind of operation of ours beside items of others
step set "$V" meta set $image hardware.memory=3G
step replace "$V" meta set $image content "${document[content]}"
step field "$V" meta set $image title=Other
step again "$V" meta attach --kind none $image attached.bin
step remove "$V" meta remove $image rights
"$V" meta export $image dir
step import "$V" meta import $image dir
echo guest | "$V" write --offset 40M $image
"$V" discard --offset 0 --length 4M $image
"$V" create --parent $image child.vhdx
sum=$(payload_of $image)
step "after content changed" "$V" tag $image +more
expect 0 "$V" convert $image copy.vhdx
expect 0 "$V" meta diff $image copy.vhdx
expect 0 "$V" check child.vhdx
step strip "$V" meta strip $image
[ "$("$item" list $image | wc -l)" = 3 ] || fail "strip left something of ours"
# A new child carries what belongs to the disk, not what belongs to the file.
"$item" list child.vhdx >items
grep -q "^${foreign[2]} 3 " items || fail "an item of the disk isn't in the child"
if grep -q "^${foreign[0]} " items; then fail "an item of the file is in the child"; fi
expect 0 "$V" meta get child.vhdx title
expect 1 "$V" meta get child.vhdx state
expect 1 "$V" meta get child.vhdx history
expect 0 "$V" meta validate child.vhdx
