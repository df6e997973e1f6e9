#!/bin/bash
# SPDX-License-Identifier: MIT
# Parents and children: editing a parent's metadata keeps its children valid; a new child carries
# what is said of the disk's content, and nothing that is said of the parent's file; from then on
# each has its own.
. "$(dirname "$0")/../support/cli.sh"
need jq
item=$B/tests/meta/itemctl
examples=$TOP/metadata-schema/examples/valid

id_of()
{
	"$V" inspect --json "$1" | jq -r ".[0].$2"
}
sums()
{
	local image
	for image; do
		"$V" read "$image" | sha256sum
	done
}
# Items as id, flags and length.
items()
{
	"$item" list "$1" | awk '{ print $1, $2, $3 }' | sort
}

# ---- a chain of three, tagged in the middle and at its root
"$V" create -q base.vhdx 16M
pattern 1 3M | "$V" write -q --offset 1M base.vhdx
"$V" create -q --parent base.vhdx mid.vhdx
pattern 2 2M | "$V" write -q --offset 3M mid.vhdx
"$V" create -q --parent mid.vhdx top.vhdx
pattern 3 1M | "$V" write -q --offset 5M top.vhdx
was=$(sums base.vhdx mid.vhdx top.vhdx)
printf 'a: 1\n' >site.yaml
head -c 1300000 /dev/urandom >big
for image in base.vhdx mid.vhdx; do
	data=$(id_of $image data_write_id)
	for edit in "tag IMAGE +web" "meta set IMAGE title=T" "meta attach --kind none IMAGE big" \
		"meta remove IMAGE attachment:big" "meta strip IMAGE" "tag IMAGE +again"; do
		file=$(id_of $image file_write_id)
		# shellcheck disable=SC2086
		expect 0 "$V" ${edit/IMAGE/$image}
		[ "$(id_of $image data_write_id)" = "$data" ] || fail "$edit on $image: another DataWriteGuid"
		[ "$(id_of $image file_write_id)" != "$file" ] || fail "$edit on $image: the same FileWriteGuid"
	done
	[ "$was" = "$(sums base.vhdx mid.vhdx top.vhdx)" ] || fail "the chain reads otherwise after $image was edited"
	expect 0 "$V" check base.vhdx mid.vhdx top.vhdx
done
# Their writing is another matter: a changed parent is refused.
cp --sparse=always base.vhdx kept.vhdx
echo x | "$V" write -q base.vhdx
expect 3 "$V" read top.vhdx
cp --sparse=always kept.vhdx base.vhdx
expect 0 "$V" read top.vhdx

# ---- what goes along with a new child
"$V" create -q p.vhdx 16M
pattern 4 2M | "$V" write -q p.vhdx
for category in content hardware host validity rights patches network tags; do
	"$V" meta set -q p.vhdx $category "$examples/$category.xml"
done
"$V" meta set -q p.vhdx urn:example:vendor - <<<'<v xmlns="urn:example:vendor">1</v>'
"$V" meta attach -q p.vhdx site.yaml
"$V" meta attach -q --kind none p.vhdx big
"$V" meta attach -q --kind state --name memory p.vhdx big
printf 'of the disk' | "$item" put p.vhdx aaaaaaaa-0001-4000-8000-000000000001 3
printf 'of the file' | "$item" put p.vhdx aaaaaaaa-0001-4000-8000-000000000002 1
items p.vhdx >parents
"$V" meta get p.vhdx state.file >/dev/null || fail "the parent's state"
expect 0 "$V" create --parent p.vhdx c.vhdx
items p.vhdx | cmp - parents || fail "making a child changed the parent"
# All items of the disk's scope, byte for byte, and no others.
awk '$2 == 3' parents >wanted
items c.vhdx | cmp - wanted || fail "other items than those of the disk's scope"
while read -r id _; do
	"$item" get c.vhdx "$id" | cmp - <("$item" get p.vhdx "$id") || fail "item $id differs"
done <wanted
expect 0 "$V" meta list --json c.vhdx
json '.[0].records | map(select(.type != "foreign")) | all(.scope == "disk")'
json '[.[0].records[] | select(.type == "document") | .kind] | sort == ["configuration", "content", "hardware", "host", "network", "patches", "rights", "tags", "urn:example:vendor", "validity"]'
json '[.[0].records[] | select(.type == "attachment") | .name] == ["big", "site.yaml"]'
for kind in state history; do
	expect 1 "$V" meta get c.vhdx $kind
done
expect 1 "$V" meta extract c.vhdx memory -
expect 0 "$V" log c.vhdx
[ ! -s out ] || fail "the child tells the parent's history"
"$V" meta extract c.vhdx big - | cmp - big || fail "the file in parts"
"$V" meta extract c.vhdx site.yaml - | cmp - site.yaml || fail "the file"

# ---- it shows right at once, without facts of its own, and alone in a folder
expect 0 "$V" meta validate c.vhdx
for image in p.vhdx c.vhdx; do
	"$V" inspect --json $image | jq -S '.[0].metadata |
		{title, content, hardware, host, validity, rights, patches, network, tags, configuration}' >show.$image
	"$V" inspect $image | grep -E '^  (title|tags|needs|os|guest|licen[cs]e|expires|validity|rights|patch|network|files)' |
		sort >lines.$image || true
done
[ -s lines.p.vhdx ] || fail "inspect shows nothing of the parent"
[ "$(jq '.title // .content.title | length > 0' show.p.vhdx)" = true ] || fail "no title in JSON"
diff show.p.vhdx show.c.vhdx || fail "inspect --json shows the child otherwise"
diff lines.p.vhdx lines.c.vhdx || fail "inspect shows the child otherwise"
mkdir alone
cp --sparse=always c.vhdx alone/
"$V" inspect --json alone/c.vhdx | jq -S '.[0].metadata | {title, content, hardware, host, validity, rights,
	patches, network, tags, configuration}' | diff show.c.vhdx - || fail "without its parent"

# ---- from now on each has its own
"$V" tag -q --actor carol c.vhdx +child
"$V" meta set -q p.vhdx title=Parent
expect 0 "$V" log --json c.vhdx
json '[.[0].entries[] | [.number, .operation, .actor]] == [[1, "tag", "carol"]]'
expect 0 "$V" meta get c.vhdx title
if grep -q Parent out; then fail "the parent's edit is in the child"; fi
expect 0 "$V" meta get p.vhdx tag
if grep -qx child out; then fail "the child's edit is in the parent"; fi
expect 0 "$V" meta validate c.vhdx
silent
expect 0 "$V" meta validate p.vhdx
expect 0 "$V" log --verify c.vhdx p.vhdx
# A grandchild has what the child has now.
"$V" create -q --parent c.vhdx g.vhdx
expect 0 "$V" meta get g.vhdx tag
grep -qx child out || fail "the grandchild's tags"
expect 0 "$V" log g.vhdx
[ ! -s out ] || fail "the grandchild tells the child's history"
# What is damaged in the parent harms neither the making of a child nor the rest.
id=$("$V" meta list --json p.vhdx | jq -r '.[0].records[] | select(.kind == "content") | .id')
"$item" flip p.vhdx "$id" 60
expect 0 "$V" create --parent p.vhdx d.vhdx
expect 0 "$V" meta get d.vhdx hardware.memory
expect 3 "$V" meta validate d.vhdx
shows "document content: "
expect 0 "$V" check d.vhdx
