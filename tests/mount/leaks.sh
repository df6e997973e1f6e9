#!/bin/bash
# SPDX-License-Identifier: MIT
# Opened and closed 1,000 times, mounted and unmounted VD_MOUNT_CYCLES times (50): no descriptor, no
# memory, no socket, no process is left.
. "$(dirname "$0")/../support/mounts.sh"
need_root

$V create a.vhdx 64M -q
$V tag a.vhdx +x
begin a.vhdx -o rw
wait_for $V ctl a.vhdx
cycle()
{
	local i
	for ((i = 0; i < $1; i++)); do
		printf x 1<>"$M/disk"
		: <"$M/info.json"
		: <"$M/meta/tags.xml"
	done
	for ((i = 0; i < $1 / 20; i++)); do
		$V ctl -q a.vhdx status >/dev/null
		$V tag a.vhdx n=$i
	done
}
rss()
{
	awk '/VmRSS/ { print $2 }' "/proc/$pid/status"
}
fds()
{
	ls "/proc/$pid/fd" | wc -l
}
cycle 200
before=$(rss) n_fds=$(fds)
cycle 1000
echo "memory from $before to $(rss) KiB, descriptors from $n_fds to $(fds)"
# Each thread may have made itself a pipe meanwhile.
[ "$(fds)" -le $((n_fds + 40)) ] || fail "from $n_fds to $(fds) descriptors"
[ "$(rss)" -lt $((before + 4096)) ] || fail "from $before to $(rss) KiB"
end

cycles=${VD_MOUNT_CYCLES:-50}
for ((i = 0; i < cycles; i++)); do
	"$VDFUSE" -o rw a.vhdx "$M"
	head -c 512 "$M/disk" >/dev/null
	expect 0 $V umount "$M"
done
[ -z "$(ls "$T/run")" ] || fail "left: $(ls "$T/run")"
if pgrep -f "a.vhdx $M\$" >/dev/null; then fail "a process was left"; fi
$V check -q a.vhdx >/dev/null
echo "count: cycles of mount and unmount $cycles"
