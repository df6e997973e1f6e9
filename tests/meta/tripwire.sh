#!/bin/bash
# SPDX-License-Identifier: MIT
# Looking at an image touches neither payload nor BAT: shown on a file system that fails such reads
# and counts all others. 64 TiB with full metadata cost at most 12 reads and 1 MiB.
# Wired is all of a VHDX but its headers, region tables and metadata region: the log too.
. "$(dirname "$0")/../support/mounts.sh"
need jq
mkdir -p real/alone real/media
valid=$TOP/metadata-schema/examples/valid

# ---- the images
describe()
{
	local category args=()
	for category in content hardware host validity rights patches network tags configuration state; do
		[ "$1 $category" = "real/huge.vhdx content" ] || args+=("$category")
	done
	for category in "${args[@]}"; do
		"$V" meta set -q "$1" "$category" "$valid/$category.xml"
	done
	head -c 900K /dev/urandom | "$V" meta attach -q --kind none --name blob "$1" -
	"$V" tag -q "$1" +wired
}
# A content document that is large however well it packs: about 190 KiB stored.
{
	echo '<content xmlns="urn:libvdisk:content:1"><title>Web server, production</title><software>'
	paste -d' ' <(seq 5000) <(head -c 120000 /dev/urandom | od -An -tx1 -v -w24 | tr -d ' ') |
		awk '{ printf "<package>pkg:deb/debian/p%d@%s</package>\n", $1, $2 }'
	echo '</software></content>'
} >content.xml

"$V" create -q real/dyn.vhdx 64M
pattern 1 5M | "$V" write -q --offset 3M real/dyn.vhdx
describe real/dyn.vhdx
"$V" create -q real/huge.vhdx 64T
pattern 2 5M | "$V" write -q --offset 40T real/huge.vhdx
describe real/huge.vhdx
"$V" meta set -q real/huge.vhdx content content.xml
"$V" create -q --parent real/dyn.vhdx child.vhdx
pattern 3 1M | "$V" write -q child.vhdx
"$V" tag -q child.vhdx +alone
cp --sparse=always child.vhdx real/alone/
pattern 4 8M >real/media/disk.raw
describe real/media/disk.raw
"$V" create -q real/none.vhdx 1T
"$V" meta list --json real/huge.vhdx | jq -r '.[0].records[] | "huge.vhdx: \(.type) \(.kind): \(.length) bytes, \(.stored_length) stored"'
stored=$("$V" meta list --json real/huge.vhdx |
	jq '[.[0].records[] | select(.type != "attachment") | .stored_length] | add')
[ "$stored" -ge 262144 ] || fail "only $stored bytes of documents, history and facts"
n=$("$V" meta list --json real/dyn.vhdx | jq '[.[0].records[] | select(.type == "document")] | length')
[ "$n" = 10 ] || fail "$n documents"

# ---- the wires, from the region table itself and not from what we say of it
number()
{
	od -An -v -t u"$3" -j "$2" -N "$3" "$1" | tr -d ' '
}
metadata_guid=06a27c8b90479a4bb8fe575f050f886e
bat_guid=6677c22d23f600429d64115e9bfd4a08
# region FILE GUID: its offset and length.
region()
{
	local n i at
	n=$(number "$1" $((196608 + 8)) 4)
	for ((i = 0; i < n; i++)); do
		at=$((196608 + 16 + 32 * i))
		if [ "$(od -An -v -t x1 -j $at -N 16 "$1" | tr -d ' \n')" = "$2" ]; then
			echo "$(number "$1" $((at + 16)) 8) $(number "$1" $((at + 24)) 4)"
		fi
	done
}
wire()
{
	local at len
	read -r at len < <(region "real/$1" $metadata_guid)
	echo "$1 1048576 $((at - 1048576))"
	echo "$1 $((at + len)) $(((1 << 62) - at - len))"
}
vhdx=(dyn.vhdx huge.vhdx alone/child.vhdx none.vhdx media/disk.raw.vdmeta)
for image in "${vhdx[@]}"; do
	wire "$image"
done >rules
# Of a raw disk the first 4 KiB and the last 512 bytes tell which format it is.
echo "media/disk.raw 4096 $((8388608 - 4096 - 512))" >>rules

trip_on()
{
	mkdir -p "$2"
	"$B/tests/meta/tripwire" real "$2" "$1" "$T/$2.log" >tripwire.out 2>&1 &
	pid=$!
	pids+=("$pid")
	mounts+=("$T/$2")
	for _ in $(seq 600); do
		if [ -e "$2/dyn.vhdx" ]; then return 0; fi
		if ! kill -0 $pid 2>/dev/null; then break; fi
		sleep 0.1
	done
	skip "FUSE can't be used here: $(tail -n 1 tripwire.out)"
}
trip_off()
{
	umount "$1" 2>/dev/null || fusermount3 -u "$1"
	wait $pid || true
}
tripped()
{
	: >>"$1.log"
	grep -c '^trip' "$1.log" || true
}

# ---- a tripwire that doesn't trip proves nothing
payload=$("$V" map --json real/dyn.vhdx | jq '[.[0].extents[] | select(.state == "data")][0].offset')
echo "dyn.vhdx $payload 65536" >payload.rules
trip_on payload.rules w
expect 1 "$V" read --offset 3M --length 64K w/dyn.vhdx
says "$payload"
[ "$(tripped w)" -gt 0 ] || fail "reading payload trips nothing"
: >w.log
expect 0 "$V" read --offset 4M --length 64K w/dyn.vhdx
expect 0 "$V" inspect --blocks w/dyn.vhdx
[ "$(tripped w)" = 0 ] || fail "other blocks trip: $(cat w.log)"
trip_off w

trip_on rules m
read -r bat bat_len < <(region real/dyn.vhdx $bat_guid)
expect 1 "$V" inspect --blocks m/dyn.vhdx
awk -v from="$bat" -v to=$((bat + bat_len)) '/^trip dyn.vhdx/ && $3 + $4 > from && $3 < to { n++ } END { exit !n }' m.log ||
	fail "counting blocks doesn't touch the BAT"
: >m.log
for command in "read --length 64K" "map" "check"; do
	expect 1 "$V" $command m/dyn.vhdx
	[ "$(tripped m)" -gt 0 ] || fail "$command trips nothing"
	: >m.log
done
expect 1 "$V" read m/media/disk.raw
[ "$(tripped m)" -gt 0 ] || fail "reading a raw disk trips nothing"
# Memory mappings are seen too.
: >m.log
expect 1 "$V" tag m/dyn.vhdx +x
[ "$(tripped m)" = 0 ] || fail "an edit that is refused reads payload"

# ---- what may be looked at for nothing
# look FILES COMMAND...: it succeeds, trips nothing, and keeps the bounds for each of FILES.
look()
{
	local files=$1 file n bytes
	shift
	: >m.log
	expect 0 "$V" "$@"
	[ "$(tripped m)" = 0 ] || fail "$*: touches $(grep '^trip' m.log | head -3)"
	for file in $files; do
		read -r n bytes < <(awk -v f="$file" '$2 == f { n++; b += $4 } END { print n + 0, b + 0 }' m.log)
		echo "$*: $file: $n reads, $bytes bytes"
		[ "$n" -gt 0 ] || [ "$file" = media/disk.raw ] || fail "$*: $file wasn't read at all"
		{ [ "$n" -le 12 ] && [ "$bytes" -le 1048576 ]; } || fail "$*: $file: $n reads, $bytes bytes: $(cat m.log)"
	done
}
looks()
{
	local image=m/$1 files="${2:-$1}"
	look "$files" inspect "$image"
	look "$files" inspect --json "$image"
	look "$files" meta get "$image" tag
	look "$files" meta get --json "$image" tag
	look "$files" meta list "$image"
	look "$files" meta list --json "$image"
	look "$files" tag "$image"
	look "$files" tag --json "$image"
}
for image in dyn.vhdx huge.vhdx alone/child.vhdx; do
	looks $image
done
looks media/disk.raw "media/disk.raw media/disk.raw.vdmeta"
look none.vhdx inspect m/none.vhdx
look none.vhdx tag m/none.vhdx
look huge.vhdx meta get m/huge.vhdx hardware.memory
look huge.vhdx log m/huge.vhdx
look huge.vhdx meta get m/huge.vhdx hardware
cmp "$T/out" "$valid/hardware.xml"
look "" meta get m/huge.vhdx content
cmp "$T/out" content.xml
look "" meta validate m/huge.vhdx
look "" log --verify m/huge.vhdx
look "" meta extract m/dyn.vhdx blob out.bin
[ "$(stat -c %s out.bin)" = 921600 ] || fail "the attachment"

# And what it shows is right.
expect 0 "$V" inspect --json m/huge.vhdx
json '.[0].virtual_size == 70368744177664 and (.[0].metadata.tags.words | index("wired") != null)'
json '(.[0].metadata | keys) as $k | ["content","hardware","host","validity","rights","patches","network","configuration","state"] - $k == []'
expect 0 "$V" inspect m/alone/child.vhdx
shows wired
shows alone
trip_off m
