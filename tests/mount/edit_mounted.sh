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

# Files and documents go to it as they go to an image that nobody has: whole, and checked.
$V create b.vhdx 64M -q
expect 0 $V tag b.vhdx +first
cat >domain.xml <<'X'
<domain type="kvm"><name>web</name><memory unit="MiB">3072</memory><vcpu>2</vcpu></domain>
X
head -c 3000000 /dev/urandom >big.bin
begin b.vhdx -o rw
wait_for $V ctl b.vhdx status
expect 0 $V meta attach b.vhdx domain.xml
says "taken from it"
expect 0 $V meta get b.vhdx hardware.memory
shows 3221225472
expect 0 $V meta attach b.vhdx big.bin --kind none --name deep/big.bin --actor somebody
expect 0 $V meta extract b.vhdx deep/big.bin back.bin
cmp big.bin back.bin
cmp big.bin "$M/meta/attachments/deep/big.bin" 2>/dev/null || cmp big.bin "$M"/meta/attachments/deep*big.bin
printf piped | expect 0 $V meta attach b.vhdx - --name piped.txt --kind none
expect 0 $V meta extract b.vhdx piped.txt -
[ "$(cat out)" = piped ]
expect 0 $V meta attach b.vhdx big.bin --name outside.bin --by-reference
expect 0 $V meta get b.vhdx configuration
shows outside.bin
expect 0 $V log --json b.vhdx
json '.[0].entries | map(select(.actor == "somebody" and .operation == "meta attach")) | length == 1'
# An editor, and one who comes in between.
EDITOR='sed -i s/first/second/' expect 0 $V meta edit b.vhdx tags
expect 0 $V tag b.vhdx
shows second
cat >between.sh <<X
sed -i s/second/third/ "\$1"
$V tag b.vhdx +between
X
EDITOR='sh between.sh' TMPDIR=$T expect 5 $V meta edit b.vhdx tags
says "changed by somebody else"
# All that another image has, in one commit; or nothing of it.
expect 0 $V meta export b.vhdx folder
$V create c.vhdx 64M -q
end
begin c.vhdx -o rw
wait_for $V ctl c.vhdx status
cp -r folder wrong
printf more >>"$(find wrong -name '*big.bin')"
expect 1 $V meta import c.vhdx wrong
says "changed since the export"
expect 0 $V meta list --json c.vhdx
json '.[0].records | length == 0'
expect 0 $V meta import c.vhdx folder
expect 0 $V meta extract c.vhdx deep/big.bin back2.bin
cmp big.bin back2.bin
expect 0 $V tag c.vhdx
shows between
expect 0 $V log --verify c.vhdx
# What is being written to isn't scanned.
expect 5 $V meta scan c.vhdx
says "unmount it first"
end
$V check -q c.vhdx
expect 0 $V meta extract c.vhdx domain.xml -
cmp out domain.xml
