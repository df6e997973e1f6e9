#!/bin/bash
# SPDX-License-Identifier: MIT
# Damaged and hostile metadata: named, exit 3, and never in the way of the disk or of the terminal.
. "$(dirname "$0")/../support/cli.sh"
need jq
item=$B/tests/meta/itemctl

harmless()
{
	! LC_ALL=C tr -d '\n\040-\176' <"$1" | LC_ALL=C grep -q '[[:cntrl:]]' || fail "control characters in $1"
	! grep -qP '\x{202e}|\x{2067}' "$1" || fail "marks that turn the writing in $1"
}

# ---- text that would steer a terminal
c1=$'\xc2\x9b' rlo=$'\xe2\x80\xae' rli=$'\xe2\x81\xa7'
"$V" create a.vhdx 8M
"$V" meta set a.vhdx title="evil${c1}31m${rlo}gpj.exe" description="two
lines" || fail "set"
"$V" tag a.vhdx "+x${c1}31m${rli}" "k=${rlo}v"
printf x | "$V" meta attach --name "f${rlo}.txt" --media-type "text/plain" a.vhdx -
"$V" tag --actor "me${c1}2J${rlo}" a.vhdx +y
export LC_ALL=C.UTF-8
for show in "inspect a.vhdx" "tag a.vhdx" "meta get a.vhdx title" "meta get a.vhdx description" \
	"meta list a.vhdx" "log a.vhdx" "meta validate a.vhdx"; do
	# shellcheck disable=SC2086
	expect 0 "$V" $show
	harmless out
	harmless err
done
expect 0 "$V" meta get a.vhdx title
shows 'evil\x9b31m\u{202e}gpj.exe'
expect 0 "$V" meta get a.vhdx description
[ "$(wc -l <out)" = 1 ] || fail "a value with a line break takes two lines"
expect 0 "$V" inspect --json a.vhdx
json '.[0].metadata.content.title == "evil\u009b31m\u202egpj.exe"'
"$V" create b.vhdx 8M
expect 6 "$V" meta diff a.vhdx b.vhdx
harmless out
expect 0 "$V" meta export a.vhdx "dir"
# A document on a terminal is made harmless, into a pipe it is exact.
if script -qec true /dev/null </dev/null >/dev/null 2>&1; then
	script -qec "$V meta get a.vhdx content" /dev/null </dev/null | tr -d '\r' >tty
	harmless tty
	grep -qF 'evil\x9b31m' tty || fail "on the terminal"
else
	echo "a terminal: left out, there are none here"
fi
"$V" meta get a.vhdx content | grep -q "$c1" || fail "not exact in a pipe"

# ---- one byte of each kind of record
"$V" create p.vhdx 8M
pattern 1 2M | "$V" write p.vhdx
"$V" tag p.vhdx +web
"$V" meta set p.vhdx title=T hardware.memory=1G
seq 10000 | "$V" meta attach --name file.txt p.vhdx -
sum=$("$V" read p.vhdx | sha256sum)
expect 0 "$V" meta validate p.vhdx
shows "p.vhdx: everything is valid"
"$V" meta list --json p.vhdx >list
jq -r '.[0].records[] | .type + " " + (if .name then .name else .kind end) + " " + .id' list >records
[ "$(wc -l <records)" -ge 7 ] || fail "too few records"
while read -r type name id; do
	length=$("$item" list p.vhdx | awk -v id="$id" '$1 == id { print $3 }')
	for at in 0 9 $((length / 2)) $((length - 1)); do
		cp p.vhdx q.vhdx
		"$item" flip q.vhdx "$id" "$at"
		expect 3 "$V" meta validate q.vhdx
		[ "$sum" = "$("$V" read q.vhdx | sha256sum)" ] || fail "$type $name: the payload suffers"
		expect 0 "$V" inspect q.vhdx
		# The others are still there, and the damaged one can be replaced or stripped.
		if [ "$type" != document ] || [ "$name" != tags ]; then
			expect 0 "$V" tag q.vhdx
			shows web
		fi
		expect 0 "$V" write q.vhdx <<<x
		expect 0 "$V" meta strip q.vhdx
		expect 0 "$V" meta validate q.vhdx
	done
done <records
# The one that is damaged is named, in JSON too.
id=$(awk '$2 == "content" { print $3 }' records)
cp p.vhdx q.vhdx
"$item" flip q.vhdx "$id" 120
expect 3 "$V" meta validate q.vhdx
grep -q content out || fail "content isn't named"
expect 3 "$V" meta validate --json q.vhdx
json '.[0] | .errors > 0 and (.findings[0].what | test("content"))'
expect 3 "$V" meta get q.vhdx content
expect 0 "$V" meta get q.vhdx hardware.memory
expect 0 "$V" meta list q.vhdx
shows damaged
expect 3 "$V" meta export q.vhdx part
[ -e part/hardware.xml ] || fail "what is well wasn't exported"
says "left out"

# ---- items that look like ours
"$V" create f.vhdx 8M
"$V" tag f.vhdx +web
for bytes in '' 'VDMETA' "$(head -c 64 /dev/zero | tr '\0' 'A')"; do
	printf '%s' "$bytes" | "$item" put f.vhdx 11111111-2222-3333-4444-555555555555 1
	expect 0 "$V" tag f.vhdx
	shows web
	expect 0 "$V" meta list f.vhdx
	expect 0 "$V" tag f.vhdx +more
	[ "$("$item" get f.vhdx 11111111-2222-3333-4444-555555555555)" = "$bytes" ] || fail "a foreign item was changed"
done
# Somebody else's bytes under the id of a record of ours.
id=$("$V" meta list --json f.vhdx | jq -r '.[0].records[] | select(.kind == "tags") | .id')
head -c 700 /dev/urandom | "$item" put f.vhdx "$id" 3
expect 0 "$V" inspect f.vhdx
expect 0 "$V" meta list f.vhdx
expect 0 "$V" read --length 1M f.vhdx

# ---- meta validate --document
echo '<content xmlns="urn:libvdisk:content:1"><title>T</title></content>' >good.xml
echo '<content xmlns="urn:libvdisk:content:1"><titel>T</titel></content>' >wrong.xml
echo '<content' >broken.xml
expect 0 "$V" meta validate --document good.xml
expect 3 "$V" meta validate --document good.xml wrong.xml
shows titel
expect 3 "$V" meta validate --document --json wrong.xml broken.xml
json 'length == 2 and (.[0].findings[0].line == 1) and .[1].errors > 0'
expect 1 "$V" meta validate --document missing.xml
