#!/bin/bash
# SPDX-License-Identifier: MIT
# vdtool host says of this machine what other programs say, and what it saves can be read again.
. "$(dirname "$0")/../support/cli.sh"
need jq

expect 0 $V host --json
silent
json 'length == 1'
json ".[0].name == \"$(cat /proc/sys/kernel/hostname)\""
json ".[0].arch == \"$(uname -m)\""
json ".[0].kernel == \"$(uname -r)\""
json ".[0].cpu.count == $(getconf _NPROCESSORS_ONLN)"
json ".[0].memory == $(awk '/^MemTotal:/ { printf "%.0f", $2 * 1024 }' /proc/meminfo)"
json ".[0].os.family == \"linux\""
(
	# shellcheck disable=SC1091
	. /etc/os-release
	json ".[0].os.name == \"$NAME\""
	[ "$ID" != debian ] || json ".[0].os.id == \"debian$VERSION_ID\""
	[ -z "${VERSION_ID:-}" ] || json ".[0].os.version | startswith(\"$VERSION_ID\")"
)
flags=$(awk -F': ' '/^(flags|Features)/ { print $2; exit }' /proc/cpuinfo | tr ' ' '\n' | grep -c .) || true
json "(.[0].cpu.features | length) == $flags"
cards=$(find /sys/class/net -mindepth 1 -maxdepth 1 -type l ! -name lo | wc -l)
json "(.[0].networks | length) == $cards"
kvm=$([ -e /dev/kvm ] && echo true || echo false)
json "(.[0].hypervisors | any(.name == \"kvm\")) == $kvm"
if command -v qemu-system-x86_64 >/dev/null && command -v dpkg-query >/dev/null; then
	version=$(dpkg-query -W -f '${Version}' qemu-system-x86 2>/dev/null | sed 's/^[0-9]*://; s/[+-].*//') || true
	[ -z "$version" ] || json ".[0].hypervisors | any(.name == \"qemu\" and .version == \"$version\")"
fi
cp out here.json

# A 32-bit personality makes uname lie, not us.
if command -v setarch >/dev/null && [ -e /proc/sys/kernel/arch ] && setarch linux32 true 2>/dev/null; then
	expect 0 setarch linux32 "$V" host --json
	json ".[0].arch == \"$(uname -m)\""
fi

expect 0 $V host
shows "$(uname -r)"
silent

# Saved, read back, saved again: the same.
expect 0 $V host --save here
expect 0 $V host --host here --json
cmp out here.json || fail "what was saved comes out otherwise"
expect 0 $V host --host here --save again
cmp here again || fail "saved again it is otherwise"
expect 0 $V host --save -
cmp out here || fail "stdout shows something else than the file has"
no_leftovers
echo old >old
expect 0 $V host --save old
cmp old here || fail "an old file wasn't replaced"
expect 1 $V host --save nowhere/here

# Another machine's, with faults.
printf 'host.arch = aarch64\nhost.memory = 64G\n\nhost.gpu.model = \033[31mred\n' >bad
expect 2 $V host --host bad
says "line 4: host.gpu.model"
printf 'host.arch = aarch64\nhost.colour = red\n' >bad
expect 2 $V host --host bad
says "--host bad: line 2: there is no field"
printf 'host.arch = aarch64\nhost.memory = 64G\nhost.name = \xc2\x9b31mred\n' >odd
expect 0 $V host --host odd
if grep -q $'\xc2\x9b' out; then
	fail "a control character reaches the terminal"
fi
shows "64 GiB"
expect 0 $V host --host odd --json
json '.[0].memory == 68719476736 and .[0].cpu.count == null and .[0].gpus == []'
expect 2 $V host x
