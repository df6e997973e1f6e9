#!/bin/bash
# SPDX-License-Identifier: MIT
# Edits and compactions of an image that is mounted go through the process that has it; that asks its
# policy, with the rules as they are by then.
. "$(dirname "$0")/../support/mounts.sh"
need_root
need jq

mkdir rules
# write_rules ACTIONS
write_rules()
{
	printf '<policy xmlns="urn:libvdisk:policy:1"><rule id="gold" actions="%s" effect="deny">%s' "$1" \
		'<when>tag:gold</when><reason>leave it alone</reason></rule></policy>' >rules/10.xml
}
write_rules "edit compact"
$V create a.vhdx 64M -q
$V tag a.vhdx +web
head -c 8M /dev/urandom | $V write a.vhdx
$V discard a.vhdx -o 0 -l 4M
# A folder named as from where it was started, though the daemon works elsewhere.
expect 0 "$VDFUSE" -o rw,policy=rules a.vhdx "$M"
mounts+=("$M")

# Not yet gold: nothing is denied. That it becomes gold is an edit like any other.
expect 0 $V tag a.vhdx env=test
expect 0 $V tag a.vhdx +gold
echo hello >note.txt
$V meta get a.vhdx tags >tags.xml
n_entries()
{
	$V log --json a.vhdx | jq '.[0].entries | length'
}
n=$(n_entries)
refused()
{
	expect 4 "$@"
	says "denied by rule gold"
	says "leave it alone"
}
refused $V tag a.vhdx +more
refused $V tag a.vhdx -gold
refused $V meta set a.vhdx title=x
refused $V meta set a.vhdx tags tags.xml
refused $V meta remove a.vhdx tags
refused $V meta attach a.vhdx note.txt
refused $V meta strip a.vhdx
refused $V compact a.vhdx
refused $V ctl a.vhdx compact
refused $V ctl a.vhdx meta set title=x
expect 4 $V tag --json a.vhdx +more
json '.[0].error.code == "denied"'
expect 0 $V compact --dry-run a.vhdx
expect 0 $V tag a.vhdx
shows gold
[ "$(n_entries)" = "$n" ] || fail "the history has grown"
# The guest's own writes are none of these.
echo guest | dd of="$M/disk" conv=notrunc,fsync status=none
# What the user's rules forbid doesn't even get there.
mkdir mine
printf '<policy xmlns="urn:libvdisk:policy:1"><rule id="mine" actions="edit" effect="deny">%s' \
	'<reason>not me</reason></rule></policy>' >mine/10.xml
expect 4 $V tag --policy mine a.vhdx +more
says "denied by rule mine"
sed -i s/edit/compact/ mine/10.xml
expect 4 $V compact --policy mine a.vhdx
says "denied by rule mine"
expect 0 $V compact --dry-run --policy mine a.vhdx

# With a reason it is done, and stands in the history with the one who wanted it.
expect 2 $V tag --override '' a.vhdx +more
expect 0 $V tag --override 'ticket 7' --actor me a.vhdx +more
expect 0 $V log --json a.vhdx
json '[.[0].entries[-2:][] | .operation] == ["override", "tag"]'
json '.[0].entries[-2] | .actor == "me" and .parameters == "edit, rule gold: ticket 7"'
size=$(stat -c %s a.vhdx)
expect 0 $V compact a.vhdx --override 'full disk'
[ "$(stat -c %s a.vhdx)" -lt "$size" ] || fail "not compacted"
expect 0 $V log --json a.vhdx
json '[.[0].entries[-2:][] | .operation] == ["override", "compact"]'
json '.[0].entries[-2].parameters == "compact, rule gold: full disk"'
expect 0 $V ctl a.vhdx compact --override 'once more'
expect 0 $V ctl a.vhdx --override 'by hand' meta set title=x
expect 0 $V log --json a.vhdx
json '[.[0].entries[-2:][] | .operation] == ["override", "ctl meta set"]'

# The rules are those of now.
write_rules "compact"
expect 0 $V tag a.vhdx +still
refused $V compact a.vhdx
echo '<policy' >rules/20.xml
expect 4 $V tag a.vhdx +less
says "20.xml"
rm -r rules
expect 0 $V tag a.vhdx +less
expect 0 $V compact a.vhdx
expect 0 $V umount "$M"
expect 0 $V log --verify a.vhdx
$V check -q a.vhdx >out || fail "$(cat out)"
