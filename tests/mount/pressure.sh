#!/bin/bash
# SPDX-License-Identifier: MIT
# Little memory: who writes through a loop device lives in a memory cgroup that is smaller than what
# is written, and so does the daemon where it may mark itself as one that writes back for others
# (CAP_SYS_RESOURCE). Nothing may wait for itself. Where it may not it needs a cgroup of its own, and
# says so if it has none.
. "$(dirname "$0")/../support/mounts.sh"
need_loop
need mkfs.ext4
need_filesystem ext4

limit=64M
group=
for root in /sys/fs/cgroup /sys/fs/cgroup/memory /sys/fs/cgroup/unified; do
	[ -d "$root" ] || continue
	[ -e "$root/memory.limit_in_bytes" ] ||
		grep -qw memory "$root/cgroup.subtree_control" 2>/dev/null || continue
	mkdir "$root/vdisk-test.$$" 2>/dev/null && group=$root/vdisk-test.$$ && break
done
[ -n "$group" ] || skip "memory cgroups can't be made here"
leave()
{
	local code=$?
	for p in $(cat "$group/cgroup.procs" 2>/dev/null); do
		echo "$p" >"$(dirname "$group")/cgroup.procs" 2>/dev/null || true
	done
	(clean_up) || true
	sleep 0.2
	rmdir "$group" 2>/dev/null || true
	exit $code
}
trap leave EXIT
if [ -e "$group/memory.limit_in_bytes" ]; then
	echo $limit >"$group/memory.limit_in_bytes"
else
	echo $limit >"$group/memory.max"
fi

# If it does hang: a daemon that waits for itself can't even be killed, only cut off.
cut_off()
{
	sleep 100
	mountpoint -q /sys/fs/fuse/connections || mount -t fusectl none /sys/fs/fuse/connections
	echo 1 >"/sys/fs/fuse/connections/$1/abort"
}

$V create a.vhdx 512M -q
caps=$((0x$(awk '/CapEff/ { print $2 }' /proc/self/status)))
if (((caps >> 24) & 1)); then
	echo $$ >"$group/cgroup.procs"
	begin a.vhdx -o rw
	[ ! -s "$T/log" ] || fail "a warning although it is marked: $(cat "$T/log")"
	echo "the daemon is inside: CAP_SYS_RESOURCE"
else
	# Beside those who write to it, it may come to wait for itself, and says so.
	echo $$ >"$group/cgroup.procs"
	begin a.vhdx -o rw
	grep -q 'give it a cgroup of its own' "$T/log" || fail "no warning: $(cat "$T/log")"
	end
	echo $$ >"$(dirname "$group")/cgroup.procs"
	begin a.vhdx -o rw
	[ ! -s "$T/log" ] || fail "a warning without a limit: $(cat "$T/log")"
	echo $$ >"$group/cgroup.procs"
	echo "the daemon stays outside: no CAP_SYS_RESOURCE"
fi
cut_off "$(stat -c %d "$M")" >/dev/null 2>&1 &
pids+=($!)
attach "$M/disk"
mkfs.ext4 -q "$loop"
mount_fs ext4 "$loop"
pattern 1 33554432 >data
hash=$(hash_of data)
for i in 1 2 3 4 5 6 7 8; do
	timeout 60 cp data "$T/fs/file$i" || fail "copy $i"
done
timeout 60 sync "$T/fs" || fail "sync"
for i in 1 4 8; do
	[ "$(timeout 60 sha256sum <"$T/fs/file$i" | cut -d' ' -f1)" = "$hash" ] || fail "file $i"
done
umount "$T/fs"
e2fsck -fn "$loop" >out 2>&1 || fail "$(tail -3 out)"
detach
end
$V check -q a.vhdx >/dev/null
