#!/bin/bash
# SPDX-License-Identifier: MIT
# Metadata of a mounted image: shown as files, edited by the commands that edit it otherwise.
. "$(dirname "$0")/../support/mounts.sh"
need_root
need jq

$V create a.vhdx 64M -q
$V tag a.vhdx +web env=prod
printf 'hello\n' >note.txt
$V meta attach a.vhdx note.txt --kind none
expect 0 $V mount a.vhdx "$M" -w
mounts+=("$M")
[ "$(cat "$M/meta/attachments/note.txt")" = hello ] || fail "the attachment isn't there"
[ "$(stat -c %s "$M/meta/tags.xml")" = "$(wc -c <"$M/meta/tags.xml")" ] || fail "sizes differ"
expect 0 $V meta validate --document "$M/meta/tags.xml"

# Readers look beside the mount; edits go through it, without a word.
expect 0 $V tag a.vhdx env=test +db
silent
expect 0 $V tag --json a.vhdx
json '(.[0].tags.words | sort) == ["db", "web"] and .[0].tags.pairs == {"env": "test"}'
expect 0 $V tag --json a.vhdx -db
json '.[0].tags.words == ["web"]'
wait_for grep -q "env=test" "$M/meta/tags.xml"
expect 0 $V meta set a.vhdx hardware.memory=2G expires=2031-01-01
expect 0 $V meta get a.vhdx hardware.memory
shows 2147483648
cp "$M/meta/tags.xml" tags.xml
sed -i 's/web/web2/' tags.xml
expect 0 $V meta set a.vhdx tags tags.xml
expect 0 $V tag a.vhdx
shows web2
expect 0 $V meta remove a.vhdx hardware
expect 1 $V meta get a.vhdx hardware.memory
expect 2 $V meta set a.vhdx no.such.field=1
# All or nothing.
got=0
$V meta set a.vhdx expires=2032-01-01 hardware.memory=much 2>err || got=$?
[ $got != 0 ] || fail "\"much\" memory"
expect 0 $V meta get a.vhdx expires
shows 2031-01-01
expect 0 $V ctl --json a.vhdx meta get tag
json '.[0].values | map(.value) | index("env=test") != null'
expect 0 $V log --json a.vhdx
json '.[0].entries | map(.operation) | index("meta set") != null'
expect 0 $V log --verify a.vhdx

# While the guest writes.
dd if=/dev/urandom of="$M/disk" bs=1M count=32 conv=notrunc,fsync status=none &
writer=$!
for i in $(seq 8); do
	$V tag a.vhdx "round=$i"
done
wait $writer
want=$(hash_of "$M/disk")
expect 0 $V umount "$M"
$V check -q a.vhdx >out || fail "$(cat out)"
[ "$($V read a.vhdx | sha256sum | cut -d' ' -f1)" = "$want" ] || fail "content changed"
expect 0 $V tag a.vhdx
shows "round=8"
expect 0 $V log --verify a.vhdx
# The guest's write has its line.
expect 0 $V log --json a.vhdx
json '.[0].entries | map(.operation) | index("mount") != null'

# Killed right after an edit: it was durable.
begin a.vhdx -o rw
wait_for $V tag a.vhdx +last
die
expect 0 $V tag a.vhdx
shows last
expect 0 $V mount a.vhdx "$M"
expect 5 $V tag a.vhdx +no
expect 0 $V umount "$M"
