#!/bin/bash
# SPDX-License-Identifier: MIT
# The host's disk is full: the writer hears it, nothing that was flushed is lost, and the mount goes
# on when there is room again.
. "$(dirname "$0")/../support/mounts.sh"
need_loop
need mkfs.ext4

truncate -s 48M host.img
mkfs.ext4 -q -m 0 host.img
mkdir host
attach host.img
mount "$loop" host
mounts+=("$T/host")
$V create host/a.vhdx 256M -q
begin host/a.vhdx -o rw
pattern 1 8388608 >data
dd if=data of="$M/disk" bs=1M conv=notrunc,fsync status=none

# Fill it up through the mount. Something can be taken away from the host later.
dd if=/dev/zero of=host/spare bs=1M count=4 status=none
if dd if=/dev/urandom of="$M/disk" bs=1M seek=16 count=200 conv=notrunc,fsync 2>err; then
	fail "200 MiB on a disk of 48"
fi
grep -Eq "No space left|Input/output" err || fail "$(cat err)"
cmp -n 8388608 "$M/disk" data || fail "what was flushed reads differently"
# What has its space can be written and flushed on the full host, as often as one likes.
[ "$(df --output=avail host | tail -1)" -le 4 ] || fail "the host isn't full: $(df host | tail -1)"
sync "$M/disk" || fail "flush on a full host"
pattern 2 4194304 >data2
for i in 1 2 3; do
	dd if=data2 of="$M/disk" bs=1M conv=notrunc,fsync status=none ||
		fail "round $i: a flush of blocks that have their space"
done
cmp -n 4194304 "$M/disk" data2 || fail "what was flushed on a full host reads differently"
rm host/spare
dd if=data of="$M/disk" bs=1M count=4 conv=notrunc,fsync status=none || fail "not again"
dd if=data2 of="$M/disk" bs=1M conv=notrunc,fsync status=none || fail "not again"

# Room again: by discards through the mount itself.
fallocate -p -o 16M -l 240M "$M/disk"
sync "$M/disk" || fail "flush after the discard"
dd if=data of="$M/disk" bs=1M seek=100 conv=notrunc,fsync status=none ||
	fail "no room after the discard: $(df host | tail -1)"
cmp -n 8388608 -i 104857600:0 "$M/disk" data
cmp -n 4194304 "$M/disk" data2

# And on a file system: one file fails, others are fine.
if dd if=/dev/zero of=host/fill bs=1M status=none 2>/dev/null; then fail "endless host"; fi
if dd if=data of="$M/disk" bs=1M seek=200 conv=notrunc,fsync status=none 2>/dev/null; then
	fail "written to a full host"
fi
rm host/fill
dd if=data of="$M/disk" bs=1M seek=200 conv=notrunc,fsync status=none || fail "not again"
end
$V check -q host/a.vhdx >out || fail "$(cat out)"
$V read host/a.vhdx --offset 200M --length 8388608 | cmp - data
umount host
e2fsck -fn "$loop" >/dev/null 2>&1 || fail "the host's file system"
