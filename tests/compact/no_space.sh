#!/bin/bash
# SPDX-License-Identifier: MIT
# The host's disk is full while blocks are to be moved: a clear error, the image is as good as before
# and holds the same, and with room again it ends where one that never met this would have ended.
. "$(dirname "$0")/../support/mounts.sh"
need_loop
need jq mkfs.ext4
need_filesystem ext4

length() { stat -c %s "$1"; }
truncate -s 120M host.img
mkfs.ext4 -q -m 0 host.img
mkdir host
attach host.img
mount "$loop" host
mounts+=("$T/host")

$V create host/full.vhdx 96M --block-size 4M -q
pattern 1 67108864 | $V write -q host/full.vhdx
for ((i = 0; i < 64; i += 8)); do
	$V discard host/full.vhdx --offset ${i}M --length 4M -q
done
sum=$($V read host/full.vhdx | sha256sum)
cp host/full.vhdx whole.vhdx
expect 0 $V compact --json whole.vhdx
[ "$(jq '.[0].moves' out)" -ge 4 ] || fail "there is nothing to move"
mv host/full.vhdx host/a.vhdx
good()
{
	expect 0 $V check -q host/a.vhdx
	[ "$($V read host/a.vhdx | sha256sum)" = "$sum" ] || fail "$1: other content"
}
fill_host()
{
	if dd if=/dev/zero of=host/fill bs=64k 2>/dev/null; then fail "a host without end"; fi
	if dd if=/dev/zero of=host/fill bs=4k conv=notrunc oflag=append 2>/dev/null; then :; fi
	sync -f host
}
ends_as_the_other()
{
	expect 0 $V compact --json host/a.vhdx
	json '.[0].complete'
	[ "$(length host/a.vhdx)" = "$(length whole.vhdx)" ] ||
		fail "$(length host/a.vhdx) instead of $(length whole.vhdx)"
	good "$1"
}

# Nobody else has it.
cp host/a.vhdx kept.vhdx
fill_host
expect 1 $V compact host/a.vhdx
says 'No space left'
[ "$(wc -l <err)" = 1 ] || fail "more than one line: $(cat err)"
good "full"
# Half a block more isn't enough either.
truncate -s -2M host/fill
expect 1 $V compact --json host/a.vhdx
json '.[0].error.code == "no space"'
good "two MiB"
# Room for a block is, although more of them would be moved at a time if there was more.
truncate -s -4M host/fill
ends_as_the_other "room for one block"
rm host/fill

# While a guest has it: nothing that the guest wrote or flushed is lost, and it goes on.
cp kept.vhdx host/a.vhdx
begin host/a.vhdx -o rw
pattern 9 65536 >piece
dd if=piece of="$M/disk" bs=64k seek=100 conv=notrunc,fsync status=none
fill_host
expect 1 $V compact host/a.vhdx
says 'No space left'
dd if=piece of="$M/disk" bs=64k seek=101 conv=notrunc,fsync status=none ||
	fail "a block that has its space can't be written while the host is full"
expect 0 $V ctl --json host/a.vhdx status
json '.[0].job | .state == "failed" and .code == "no space"'
rm host/fill
expect 0 $V compact --json host/a.vhdx
json '.[0].complete'
cmp piece <(dd if="$M/disk" bs=64k skip=100 count=1 status=none) || fail "what was flushed before"
cmp piece <(dd if="$M/disk" bs=64k skip=101 count=1 status=none) || fail "what was flushed then"
end
expect 0 $V check -q host/a.vhdx
cat piece piece | $V write -q kept.vhdx --offset 6400K
expect 0 $V compare -q host/a.vhdx kept.vhdx
[ "$(length host/a.vhdx)" = "$(length whole.vhdx)" ] || fail "another length than the other's"
umount host
e2fsck -fn "$loop" >out 2>&1 || fail "the host's file system"
