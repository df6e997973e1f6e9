#!/bin/bash
# SPDX-License-Identifier: MIT
# One byte is turned over in each kind of place of each record's item: `meta validate` names the
# record and exits 3, the disk and all other records are read as before; so they are by who looks
# first at the facts. Then one byte of each field of an entry of the history.
. "$(dirname "$0")/../support/cli.sh"
need jq
item=$B/tests/meta/itemctl
forge=$B/tests/meta/forge
vendor=urn:example:vendor

"$V" create -q a.vhdx 8M
pattern 1 1M | "$V" write -q --offset 1M a.vhdx
"$V" tag -q --actor alice a.vhdx +web env=prod
"$V" meta set -q a.vhdx title=Shop hardware.memory=1G
"$V" meta set -q a.vhdx $vendor - <<<"<v:box xmlns:v='$vendor'>$(seq -s ' ' 500)</v:box>"
printf 'listen: 80\n' | "$V" meta attach -q --name site.yaml a.vhdx -
head -c 1500000 /dev/urandom >big
"$V" meta attach -q --kind none a.vhdx big
expect 0 "$V" meta validate a.vhdx
sum=$("$V" read --length 2M a.vhdx | sha256sum)
"$V" meta list --json a.vhdx | jq -r '.[0].records[] | [.type, (if .name then .name else .kind end), .id] | @tsv' >records
[ "$(wc -l <records)" -ge 9 ] || fail "too few records"

# Which file of an export is whose.
file_of()
{
	case $1 in
	attachment) echo "attachments/$2" ;;
	history) echo history.json ;;
	facts) echo ;;
	*) jq -r --arg k "$2" '.records[] | select(.kind == $k and .type == "document") | .file' good/manifest.json ;;
	esac
}
"$V" meta export -q a.vhdx good
sums_of()
{
	(cd "$1" && find . -type f ! -name manifest.json ! -path "./$2" -exec sha256sum {} + | sort -k2)
}

# flipped TYPE NAME ID AT OWN: that byte, and what comes of it.
n=0
flipped()
{
	local type=$1 name=$2 id=$3 at=$4 own=$5 label=$1 got=0
	cp --sparse=always a.vhdx b.vhdx
	"$item" flip b.vhdx "$id" "$at"
	expect 3 "$V" meta validate b.vhdx
	[ "$type" = "$name" ] || label="$type $name"
	grep -q "^b.vhdx: $label: " out || fail "$type $name, byte $at: not named"
	if [ "$type" = history ]; then
		# Of another version it can't be told to be wrong, only not to be understood.
		expect "$([ "$at" = 8 ] && echo 1 || echo 3)" "$V" log --verify b.vhdx
		says history
	else
		expect 0 "$V" log --verify b.vhdx
	fi
	rm -rf part
	"$V" meta export -q b.vhdx part 2>err || got=$?
	[ $got = 0 ] || [ $got = 3 ] || fail "$type $name, byte $at: export: $got"
	[ "$(sums_of part "$own")" = "$(sums_of good "$own")" ] ||
		fail "$type $name, byte $at: others aren't read as before"
	[ "$type" = history ] || [ -z "$own" ] || [ ! -e "part/$own" ] ||
		 fail "$type $name, byte $at: exported all the same"
	[ "$sum" = "$("$V" read --length 2M b.vhdx | sha256sum)" ] || fail "$type $name, byte $at: the disk"
	n=$((n + 1))
}

# Magic, version, length of the head, type, packing, flags, part, parts, lengths, both digests,
# lengths of the texts, reserved, digest of the head, kind; then the record: first, middle, last.
head_places=(0 8 10 12 13 14 16 20 24 32 40 48 111 112 114 116 118 120 152)
i=0
while read -r type name id; do
	length=$("$item" list a.vhdx | awk -v id="$id" '$1 == id { print $3 }')
	own=$(file_of "$type" "$name")
	size=$("$item" get a.vhdx "$id" | od -An -tu2 -j10 -N2 | tr -d ' ')
	places=("$size" $(((size + length) / 2)) $((length - 1)))
	# All places of a document's head, and of the others some each, so that each has its turn.
	for place in "${head_places[@]}"; do
		i=$((i + 1))
		if [ "$name" = tags ] || [ $((i % 7)) = 0 ] || [ "$place" = 0 ]; then places+=("$place"); fi
	done
	for at in "${places[@]}"; do
		flipped "$type" "$name" "$id" "$at" "$own"
	done
done <records
# The second part of a file.
first=$(awk -F'\t' '$2 == "big" { print $3 }' records)
id=$("$item" list a.vhdx | awk -v first="$first" '$3 > 400000 && $1 != first { print $1 }')
for at in 0 20 60 200 300000; do
	cp --sparse=always a.vhdx b.vhdx
	"$item" flip b.vhdx "$id" $at
	expect 3 "$V" meta validate b.vhdx
	shows "attachment big: "
	expect 3 "$V" meta extract b.vhdx big -
	expect 0 "$V" meta extract b.vhdx site.yaml -
	n=$((n + 1))
done

# An entry whose envelope is right: length, number, stands for, time, link, lengths of the texts,
# reserved, a text, its digest. The entry is named, or that the rest can't be told apart.
for at in 0 8 16 24 32 64 76 80 -1; do
	cp --sparse=always a.vhdx b.vhdx
	"$forge" entry b.vhdx 2 $at
	expect 3 "$V" log --verify b.vhdx
	case $at in
	0 | 64) grep -q "history: entries are missing\|entry [0-9]* of the history" err || fail "entry, byte $at" ;;
	8) says "of the history was changed" ;;
	*) says "entry 2 of the history was changed" ;;
	esac
	expect 3 "$V" meta validate b.vhdx
	grep -q "^b.vhdx: history: " out || fail "entry, byte $at: validate"
	expect 0 "$V" log b.vhdx
	shows "alice"
	expect 0 "$V" tag b.vhdx
	shows "web env=prod"
	[ "$sum" = "$("$V" read --length 2M b.vhdx | sha256sum)" ] || fail "entry, byte $at: the disk"
	n=$((n + 1))
done
echo "count: bytes of metadata turned over $n"
