#!/bin/bash
# SPDX-License-Identifier: MIT
# The control channel: what it answers, and that no client can hurt it, hold it up, or ask without
# the right to.
. "$(dirname "$0")/../support/mounts.sh"
need_root
need jq
talk=$B/tests/mount/talk

$V create a.vhdx 64M -q
$V create b.vhdx 64M -q
begin a.vhdx -o rw
wait_for "$talk" a.vhdx say '{"v":1,"do":"status"}'
[ "$(stat -c %a "$T/run")" = 700 ] || fail "the folder has mode $(stat -c %a "$T/run")"
"$talk" a.vhdx say '{"v":1,"do":"status"}' >out
jq -e --arg m "$M" --argjson pid "$pid" '.ok and .mount_point == $m and .pid == $pid' out >/dev/null
pattern 1 1000000 | dd of="$M/disk" conv=notrunc,fsync status=none
"$talk" a.vhdx say '{"v":1,"do":"status"}' >out
jq -e '.statistics.bytes_written >= 1000000 and .statistics.flushes >= 1' out >/dev/null

# Wrong ones, each with an answer that says why.
refused()
{
	"$talk" a.vhdx say "$1" >out
	jq -e --arg c "$2" '.ok == false and .code == $c and (.error | length > 0)' out >/dev/null ||
		fail "$1: $(cat out)"
}
refused 'nonsense' "invalid argument"
refused '{"v":1}' "invalid argument"
refused '[]' "invalid argument"
refused '{"v":2,"do":"status"}' unsupported
refused '{"v":1,"do":"fly"}' unsupported
refused '{"v":1,"do":7}' "invalid argument"
refused '{"v":1,"do":"start"}' "invalid argument"
refused '{"v":1,"do":"start","job":"fly"}' unsupported
refused '{"v":1,"do":"cancel"}' "not found"
refused '{"v":1,"do":"meta.set"}' "invalid argument"
refused '{"v":1,"do":"meta.set","edits":[{"op":"set","field":"nope","value":"1"}]}' "invalid argument"
refused '{"v":1,"do":"meta.set","edits":[7]}' "invalid argument"
# Several at once, one of them wrong: each gets its own answer.
"$talk" a.vhdx say '{"v":1,"do":"job"}' x '{"v":1,"do":"job"}' >out
[ "$(jq -c .ok out | tr '\n' ' ')" = "true false true " ] || fail "$(cat out)"

# Content is taken from a sealed file in memory only: reading anything else could hold others up.
attach='{"v":1,"do":"meta.set","edits":[{"op":"attach","name":"x","at":0,"length":4}]}'
refused "$attach" "invalid argument"
mkfifo "$T/fifo"
for beside in "$M/disk" "$T/fifo" /dev/zero "$T/a.vhdx"; do
	timeout 60 "$talk" a.vhdx with "$beside" "$attach" >out
	[ "$(jq -c "[.ok, .code]" out | sort | uniq -c | tr -s " ")" = ' 50 [false,"invalid argument"]' ] ||
		fail "$beside: $(head -3 out)"
	grep -q "sealed" out
done
timeout 60 "$talk" a.vhdx with /dev/null '{"v":1,"do":"job"}' >out
has_few_descriptors()
{
	[ "$(ls "/proc/$pid/fd" | wc -l)" -lt 40 ]
}
wait_for has_few_descriptors

# Noise, floods, and clients that stop in the middle.
for seed in 1 2 3; do
	timeout 100 "$talk" a.vhdx garbage $seed >out || [ $? = 0 ]
done
"$talk" a.vhdx huge >out
grep -Eq "more than|hung up" out || fail "3 MiB without a newline: $(head -c 200 out)"
"$talk" a.vhdx half 60 &
half=$!
"$talk" a.vhdx unread 60 >/dev/null &
unread=$!
pids+=($half $unread)
sleep 0.2
SECONDS=0
for i in 1 2 3 4 5; do
	expect 0 $V ctl a.vhdx status
done
[ $SECONDS -le 8 ] || fail "others waited for slow clients: $SECONDS s"
"$talk" a.vhdx many 40 >out
[ "$(cut -d' ' -f1 out)" -ge 20 ] || fail "of 40 clients $(cat out)"
wait_for $V ctl a.vhdx status
kill -0 "$pid" || fail "vdfuse is gone"
grep -q "VmRSS" "/proc/$pid/status"
[ "$(awk '/VmRSS/ { print $2 }' "/proc/$pid/status")" -lt 200000 ] || fail "it grew"
printf still | dd of="$M/disk" conv=notrunc status=none
[ "$(head -c 5 "$M/disk")" = still ] || fail "the mount suffered"
kill $half $unread 2>/dev/null || true

# Somebody else, where he may come here at all.
chmod 755 "$T" "$T/run"
chmod 666 "$T"/run/*.sock
chmod 644 a.vhdx
if setpriv --reuid nobody --clear-groups test -r "$T/a.vhdx" -a -x "$talk" 2>/dev/null; then
	if TALK_FOLDER=$T/run setpriv --reuid nobody --clear-groups "$talk" a.vhdx say \
		'{"v":1,"do":"status"}' >out 2>err; then
		jq -e '.ok == false and .code == "denied"' out >/dev/null ||
			fail "nobody was served: $(cat out)"
	else
		grep -q "Permission denied" err || fail "nobody: $(cat err)"
	fi
else
	echo "somebody else: left out, another user can't look into $T"
fi
chmod 700 "$T/run"

# Jobs.
expect 0 $V ctl --json a.vhdx scrub
json '.[0].job.state == "done" and .[0].job.result.bytes_read >= 1000000'
dd if=/dev/urandom of="$M/disk" bs=1M count=40 conv=notrunc status=none
$V ctl a.vhdx scrub --max-rate 1M -q 2>err &
job=$!
is_running()
{
	$V ctl --json a.vhdx status | jq -e '.[0].job.state == "running" and .[0].job.done > 0'
}
wait_for is_running
expect 5 $V ctl a.vhdx scrub
says "is running"
expect 0 $V ctl a.vhdx cancel
got=0
wait $job || got=$?
[ $got = 1 ] || fail "the job ended with $got"
expect 0 $V ctl --json a.vhdx status
json '.[0].job.state == "cancelled"'

# A socket that a dead process left is nobody's, and is taken over.
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
umount "$M"
[ -e "$T"/run/*.sock ] || fail "no socket was left"
expect 1 $V ctl a.vhdx
says "not in use"
begin a.vhdx -o rw
wait_for $V ctl a.vhdx status

# Detach: not while it is in use, and not before the image is closed.
exec 7<"$M/disk"
expect 5 $V ctl a.vhdx detach
exec 7<&-
# Nor if that would unmount something else, which lies over it.
mount -t tmpfs none "$M"
mounts+=("$M")
expect 5 timeout 20 $V ctl a.vhdx detach
says "mounted over it"
umount "$M"
wait_for $V umount "$M"
wait "$pid" || fail "vdfuse ended with $?"
$V write a.vhdx --length 0 </dev/null
[ -z "$(ls "$T/run")" ] || fail "left: $(ls "$T/run")"

# In use by one that doesn't listen.
begin b.vhdx -o rw,no_control
expect 5 $V ctl b.vhdx
says "vdfuse (pid $pid)"
says "no control channel"
expect 5 $V tag b.vhdx +x
end
expect 1 $V ctl nothing.vhdx
# Several readers, a socket each.
mkdir m2
begin b.vhdx
"$VDFUSE" b.vhdx m2
mounts+=("$T/m2")
wait_for $V umount m2
expect 0 $V ctl b.vhdx
shows "$M"
end
