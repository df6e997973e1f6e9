#!/bin/bash
# SPDX-License-Identifier: MIT
# An image that must not be used isn't mounted: exit 4 with the reason, by vdtool and by vdfuse, for
# each built-in rule; what may only be read is mounted for reading; overrides are found afterwards.
. "$(dirname "$0")/../support/syslog.sh"
. "$(dirname "$0")/../support/mounts.sh"
need_root
need jq
begin_syslog
[ -z "$syslog_pid" ] || pids+=("$syslog_pid")

none=$T/none # isn't there: the built-in rules
mkdir deny read later
printf '<policy xmlns="urn:libvdisk:policy:1"><rule id="frozen" actions="*" effect="read-only">%s' \
	'<reason>evidence</reason></rule></policy>' >read/10.xml
printf '<policy xmlns="urn:libvdisk:policy:1"><rule id="known" actions="mount-ro run" effect="allow">%s' \
	'<when>expires before now</when><reason>an archive</reason></rule></policy>' >later/10.xml
printf '<policy xmlns="urn:libvdisk:policy:1"><rule' >deny/10.xml

make()
{
	$V create "$1.vhdx" 16M -q
	$V tag "$1.vhdx" +web
}
make expired && $V meta set expired.vhdx expires=2020-01-31
make early && $V meta set early.vhdx starts=2990-01-31
make os && $V meta set os.vhdx compatible.os=win2k22
make cpu && $V meta set cpu.vhdx hardware.cpu.feature=nosuchfeature
make cve
cat >patches.xml <<'END'
<patches xmlns="urn:libvdisk:patches:1"><open id="CVE-2026-1234" severity="critical"/></patches>
END
$V meta set cve.vhdx patches patches.xml
# Another image's sidecar counts as damage.
$V create --format raw other.raw 16M -q
$V create --format raw damaged.raw 8M -q
$V tag other.raw +web
cp other.raw.vdmeta damaged.raw.vdmeta

can_run=
if "$V" help run >/dev/null 2>&1; then
	can_run=1
else
	echo "not looked at: there is no vdtool run yet"
fi

# refused IMAGE RULE: however it is to be used.
refused()
{
	local sum
	sum=$(hash_of "$1")
	for mode in ro rw; do
		expect 4 "$VDFUSE" -o "$mode,policy=$none" "$1" "$M"
		says "denied by rule $2"
	done
	expect 4 "$V" mount "$1" "$M" --policy "$none"
	says "denied by rule $2"
	expect 4 "$V" mount -w "$1" "$M" --policy "$none"
	says "denied by rule $2"
	if [ -n "$can_run" ]; then
		expect 4 "$V" run --print "$1" --policy "$none"
		says "$2"
	fi
	if mountpoint -q "$M"; then fail "$1 is mounted"; fi
	[ "$(hash_of "$1")" = "$sum" ] || fail "$1 has changed"
	expect 0 "$V" inspect "$1"
	expect 0 "$V" convert "$1" out.vhdx --force --policy "$none" -q
}
refused expired.vhdx builtin:validity
refused early.vhdx builtin:validity
refused os.vhdx builtin:host
refused cpu.vhdx builtin:hardware
refused cve.vhdx builtin:patches
refused damaged.raw builtin:metadata

# A site may see it otherwise, for one action.
expect 0 "$V" mount expired.vhdx "$M" --policy later
expect 0 "$V" umount "$M"
expect 4 "$V" mount -w expired.vhdx "$M" --policy later
says "builtin:validity"
# Rules that can't be read deny.
make plain
expect 4 "$V" mount plain.vhdx "$M" --policy deny
says "10.xml"
expect 0 "$V" mount plain.vhdx "$M" --policy "$none"
says "there is no such folder; the built-in rules hold alone"
expect 0 "$V" umount "$M"

# What may be read is mounted for reading, and for nothing else.
sum=$(hash_of plain.vhdx)
expect 0 "$V" mount plain.vhdx "$M" --policy read
[ -e "$M/disk" ] || fail "not mounted"
if echo x 2>/dev/null >"$M/disk"; then fail "a read-only mount was written to"; fi
expect 0 "$V" umount "$M"
expect 4 "$V" mount -w plain.vhdx "$M" --policy read
says "denied by rule frozen"
says "a read-only mount is allowed"
expect 4 "$V" mount -o rw plain.vhdx "$M" --policy read
says "a read-only mount is allowed"
[ "$(hash_of plain.vhdx)" = "$sum" ] || fail "it has changed"

# What an image says of itself steers no terminal and no log, however it is written.
make steers
$V meta set steers.vhdx expires=2020-01-01 validity.reason=$'a\xc2\x9b31mb\xe2\x80\xaec caf\xc3\xa9 \xe2\x82\xac'
expect 4 "$VDFUSE" -o "policy=$none" steers.vhdx "$M"
says $'a??31mb???c caf\xc3\xa9 \xe2\x82\xac'
expect 0 "$VDFUSE" -o "policy=$none,override=x"$'\xc2\x9by\xff' steers.vhdx "$M"
expect 0 "$V" umount "$M"
logged "reason: x??y?"

# What is said of the rules isn't lost on the way: behind long options, with an empty name, or where
# nobody knows what a relative one is relative to.
long=$(printf 'x-%04090d' 0)
expect 4 "$V" mount plain.vhdx "$M" -o "$long,policy=$T/deny"
expect 4 "$V" mount plain.vhdx "$M" --policy ''
expect 4 "$VDFUSE" -o policy= plain.vhdx "$M"
mkdir gone
expect 1 bash -c "cd gone && rmdir ../gone && exec '$VDFUSE' -o policy=rules '$T/plain.vhdx' '$M'"
says policy
if mountpoint -q "$M"; then fail "plain.vhdx is mounted"; fi

# Overrides: of a mount for reading in syslog, of one for writing in the history.
expect 2 "$V" mount expired.vhdx "$M" --policy "$none" --override ' '
sum=$(hash_of expired.vhdx)
expect 0 "$V" mount expired.vhdx "$M" --policy "$none" --override 'look, only'
says overridden
expect 0 "$V" umount "$M"
[ "$(hash_of expired.vhdx)" = "$sum" ] || fail "it has changed"
logged "vdfuse"
logged "override: action mount-ro, rule builtin:validity"
logged "image $T/expired.vhdx, reason: look, only"
expect 0 "$VDFUSE" -o 'rw,policy=none,override=disk\, full' expired.vhdx "$M"
expect 0 "$V" log --json expired.vhdx
json '.[0].entries[-1] | .operation == "override" and (.tool | startswith("vdfuse")) and
	.parameters == "mount-rw, rule builtin:validity: disk, full"'
echo guest | dd of="$M/disk" conv=notrunc,fsync status=none
expect 0 "$V" umount "$M"
expect 0 "$V" log --json expired.vhdx
json '[.[0].entries[-2:][].operation] == ["override", "mount"]'
not_logged "disk, full"
if [ -n "$can_run" ]; then
	sum=$(hash_of early.vhdx)
	expect 0 "$V" run --print early.vhdx --policy "$none" --override 'a day early'
	shows early.vhdx
	logged "override: action run, rule builtin:validity"
	logged "reason: a day early"
	[ "$(hash_of early.vhdx)" = "$sum" ] || fail "it has changed"
	expect 4 "$V" run --print plain.vhdx --policy read
	says "denied by rule frozen"
fi
# As fstab has it.
if command -v mount.fuse3 >/dev/null; then
	mkdir bin
	ln -s "$VDFUSE" bin/vdfuse
	as_fstab()
	{
		PATH=$T/bin:$PATH mount.fuse3 "$T/expired.vhdx" "$M" -t fuse.vdfuse -o "$1"
	}
	expect 4 as_fstab "ro,nofail,policy=$none"
	says builtin:validity
	expect 0 as_fstab "ro,nofail,policy=$none,override=by fstab"
	expect 0 "$V" umount "$M"
	logged "reason: by fstab"
fi
# There is nothing of ours that it could stand in.
$V create bare.vhdx 16M -q
sum=$(hash_of bare.vhdx)
expect 0 "$V" mount -w bare.vhdx "$M" --policy read --override bare
expect 0 "$V" umount "$M"
logged "override: action mount-rw, rule frozen"
[ "$(hash_of bare.vhdx)" = "$sum" ] || fail "it has changed"

# The rules of the site, without being told where they are.
if own_rules; then
	cp read/10.xml /etc/vdisk/policy.d/
	expect 4 "$V" mount -w plain.vhdx "$M"
	says "/etc/vdisk/policy.d/10.xml:1"
	expect 4 "$VDFUSE" -o rw plain.vhdx "$M"
	expect 0 "$VDFUSE" plain.vhdx "$M"
	expect 0 "$V" umount "$M"
else
	echo "not looked at, for want of a mount namespace: the rules in /etc/vdisk/policy.d"
fi
