#!/bin/bash
# SPDX-License-Identifier: MIT
# vdfuse is killed under load, again and again: what was fsynced is there, the image keeps every
# rule, and a file system on it needs only its journal. VD_KILL_ROUNDS: how often (20).
. "$(dirname "$0")/../support/mounts.sh"
need_loop
need mkfs.ext4 e2fsck
rounds=${VD_KILL_ROUNDS:-20}
load=$B/tests/mount/load

# The disk itself, straight through the mount.
$V create a.vhdx 32M -q
$V create parent.vhdx 32M -q
$V create child.vhdx --parent parent.vhdx -q
for ((i = 0; i < rounds * 3 / 5; i++)); do
	image=$([ $((i % 3)) = 2 ] && echo child.vhdx || echo a.vhdx)
	begin $image -o rw
	"$load" verify "$M/disk" state.$image >out || fail "round $i: $(cat out)"
	"$load" write "$M/disk" state.$image "$i" &
	writer=$!
	sleep "0.$((1 + RANDOM % 3))$((RANDOM % 10))"
	die
	wait $writer || fail "round $i: the writer failed with $?"
	$V check -q $image >out || fail "round $i: $(cat out)"
done
begin a.vhdx
"$load" verify "$M/disk" state.a.vhdx
end

# A file system on a loop device.
need_filesystem ext4
has_synced() { [ "$(wc -l <pending)" -ge 3 ]; }
$V create b.vhdx 64M -q
begin b.vhdx -o rw
attach "$M/disk"
mkfs.ext4 -q "$loop"
detach
end
: >synced
for ((i = 0; i < rounds - rounds * 3 / 5; i++)); do
	begin b.vhdx -o rw
	attach "$M/disk"
	mount_fs ext4 "$loop"
	while read -r file hash; do
		[ "$(hash_of "$T/fs/$file")" = "$hash" ] || fail "round $i: $file"
	done <synced
	: >pending
	(
		for ((k = 0; k < 1000; k++)); do
			name=f$((k % 40))
			pattern $((i * 1000 + k + 1)) $((RANDOM * 4)) >piece
			hash=$(hash_of piece)
			# What it was is gone as soon as it is being written again.
			grep -v "^$name.$i " pending >pending2 || true
			mv pending2 pending
			dd if=piece of="$T/fs/$name.$i" conv=fsync status=none || exit 0
			sync "$T/fs" || exit 0
			echo "$name.$i $hash" >>pending
		done
	) 2>/dev/null &
	writer=$!
	wait_for has_synced
	sleep "0.$((RANDOM % 5))$((RANDOM % 10))"
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null || true
	kill -TERM "$writer" 2>/dev/null || true
	wait $writer 2>/dev/null || true
	umount "$T/fs" 2>/dev/null || umount -l "$T/fs"
	detach
	umount "$M"
	# Its last line may be cut short.
	head -n -1 pending >>synced
	$V check -q b.vhdx >out || fail "round $i: $(cat out)"
	begin b.vhdx -o rw
	attach "$M/disk"
	e2fsck -p "$loop" >out 2>&1 || [ $? -le 1 ] || fail "round $i: fsck: $(cat out)"
	e2fsck -fn "$loop" >out 2>&1 || fail "round $i: fsck after the journal: $(cat out)"
	detach
	end
done
echo "count: kill -9 under verified load $rounds"
[ -s synced ] || fail "nothing was ever synced"
