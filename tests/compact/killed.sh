#!/bin/bash
# SPDX-License-Identifier: MIT
# vdfuse is killed in the middle of a compaction under load: the image opens, keeps every rule, and
# what was fsynced is there. VD_KILL_ROUNDS: how often (4).
. "$(dirname "$0")/../support/mounts.sh"
need_loop
need jq mkfs.ext4 e2fsck fstrim
need_filesystem ext4
rounds=${VD_KILL_ROUNDS:-4}

$V create a.vhdx 384M --block-size 1M -q
begin a.vhdx -o rw
attach "$M/disk"
mkfs.ext4 -q "$loop"
detach
end
: >synced
n_moving=0
for ((round = 0; round < rounds; round++)); do
	begin a.vhdx -o rw
	attach "$M/disk"
	mount_fs ext4 "$loop"
	(cd "$T/fs" && [ ! -s "$T/synced" ] || sha256sum --quiet -c "$T/synced") ||
		fail "round $round: files that were fsynced before"
	# Files that stay, between files that go.
	for ((i = 0; i < 12; i++)); do
		pattern $((round * 100 + i)) 3000000 >"$T/fs/going$i"
		pattern $((round * 100 + i + 50)) 1200000 >"$T/fs/stays$i"
	done
	sync -f "$T/fs"
	rm -f "$T"/fs/going*
	fstrim "$T/fs"
	(cd "$T/fs" && sha256sum stays*) >synced
	(
		for ((i = 0; ; i++)); do
			pattern $((round * 1000 + i)) 400000 >piece
			dd if=piece of="$T/fs/load$((i % 8))" conv=fsync status=none || exit 0
		done
	) 2>/dev/null &
	load=$!
	pids+=($load)
	$V compact --max-rate 8M --progress json a.vhdx >said 2>progress &
	job=$!
	pids+=($job)
	is_moving()
	{
		if kill -0 $job 2>/dev/null; then
			$V ctl --json a.vhdx status | jq -e '.[0].job |
				.state == "running" and .what == "move" and .done > 0'
		fi
	}
	wait_for is_moving
	sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
	$V ctl --json a.vhdx status >status 2>/dev/null || true
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null || true
	kill -TERM $load 2>/dev/null || true
	wait $load 2>/dev/null || true
	got=0
	wait $job || got=$?
	if jq -e '.[0].job.state == "running"' status >/dev/null 2>&1; then
		n_moving=$((n_moving + 1))
		[ $got != 0 ] || fail "round $round: vdtool says that it is done"
	fi
	umount "$T/fs" 2>/dev/null || umount -l "$T/fs"
	detach
	umount "$M" 2>/dev/null || umount -l "$M"
	expect 0 $V check -q a.vhdx
	begin a.vhdx -o rw
	attach "$M/disk"
	e2fsck -p "$loop" >out 2>&1 || [ $? -le 1 ] || fail "round $round: fsck: $(cat out)"
	e2fsck -fn "$loop" >out 2>&1 || fail "round $round: fsck after the journal: $(cat out)"
	detach
	end
done
# And it still can be compacted, without losing any of it.
expect 0 $V compact --json a.vhdx
json '.[0].complete'
begin a.vhdx -o rw
attach "$M/disk"
mount_fs ext4 "$loop"
(cd "$T/fs" && sha256sum --quiet -c "$T/synced") || fail "files that were fsynced"
umount "$T/fs"
e2fsck -fn "$loop" >out 2>&1 || fail "fsck at the end: $(cat out)"
detach
end
expect 0 $V check -q a.vhdx
# Where the file system shares what is moved, no rate holds it up.
[ $n_moving -gt 0 ] || cp --reflink=always a.vhdx shared 2>/dev/null ||
	fail "no compaction was under way when vdfuse was killed"
echo "count: kills while blocks were being moved $n_moving"
