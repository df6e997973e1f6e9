#!/bin/bash
# SPDX-License-Identifier: MIT
# A compaction that is stopped: by a signal, a time limit, cancel over the control channel, the end
# of the mount. What is done stays, the image is good, and going on from there ends where one that
# wasn't stopped would have ended.
. "$(dirname "$0")/../support/mounts.sh"
need jq

length() { stat -c %s "$1"; }
# Data in each fourth block of 1 MiB, the last ones first in the file; and the hash of it.
$V create full.vhdx 80M --block-size 1M -q
pattern 1 67108864 | $V write -q full.vhdx
for ((i = 0; i < 64; i += 4)); do
	$V discard full.vhdx --offset ${i}M --length 3M -q
done
sum=$($V read full.vhdx | sha256sum)
cp full.vhdx whole.vhdx
expect 0 $V compact --json whole.vhdx
moves=$(jq '.[0].moves' out)
[ "$moves" -ge 8 ] || fail "only $moves moves: nothing that could be stopped"
# Seconds for each of them: however late we look, on a busy machine, some are left to do.
if cp --reflink=always full.vhdx shared 2>/dev/null; then
	skip "no rate holds up a move here: the file system shares what is moved"
fi
good()
{
	expect 0 $V check -q a.vhdx
	[ "$($V read a.vhdx | sha256sum)" = "$sum" ] || fail "$1: other content"
}
ends_as_the_other()
{
	good "$1"
	expect 0 $V compact --json a.vhdx
	json '.[0].complete'
	[ "$(length a.vhdx)" = "$(length whole.vhdx)" ] ||
		fail "$1: $(length a.vhdx) instead of $(length whole.vhdx)"
	good "$1, gone on with"
}
is_moving()
{
	grep -q '"progress":"compact","done":[1-9]' progress
}

# Nobody else has it: signals, also with more images behind it; the time limit.
for signal in TERM INT; do
	cp full.vhdx a.vhdx
	cp full.vhdx b.vhdx
	rm -f said progress # of the one before
	(
		trap - INT
		exec env $V compact --max-rate 200K --progress json a.vhdx b.vhdx >said 2>progress
	) &
	job=$!
	wait_for is_moving
	kill -$signal $job
	got=0
	wait $job || got=$?
	[ "$got" = "$([ $signal = TERM ] && echo 143 || echo 130)" ] || fail "$signal: exit $got"
	grep -q "not all of it is done" said || fail "$signal: $(cat said)"
	[ "$(length a.vhdx)" -gt "$(length whole.vhdx)" ] || fail "it was done before it was stopped"
	cmp full.vhdx b.vhdx || fail "the second image was begun after the signal"
	ends_as_the_other "$signal"
done
cp full.vhdx a.vhdx
expect 0 $V compact --json --max-rate 200K --max-time 1 a.vhdx
says "stopped after 1 s"
json '.[0] | .complete == false and .moves < '"$moves"
ends_as_the_other "--max-time"

# Killed.
cp full.vhdx a.vhdx
rm -f said progress
$V compact --max-rate 200K --progress json a.vhdx >said 2>progress &
job=$!
wait_for is_moving
kill -KILL $job
wait $job || true
ends_as_the_other KILL

# Another process has it.
cp full.vhdx a.vhdx
begin a.vhdx -o rw
state_is()
{
	$V ctl --json a.vhdx status | jq -e --arg s "$1" '.[0].job.state == $s'
}
is_under_way()
{
	$V ctl --json a.vhdx status | jq -e '.[0].job | .name == "compact" and .state == "running" and
		.done > 0'
}
start()
{
	(
		trap - INT
		exec env $V "$@" a.vhdx --max-rate 200K --json >said 2>progress
	) &
	job=$!
	wait_for is_under_way
}
# The other asks for the same: one at a time.
start compact
expect 5 $V compact a.vhdx
says "is running"
expect 0 $V ctl a.vhdx cancel
got=0
wait $job || got=$?
[ $got = 1 ] || fail "cancelled by somebody else: exit $got"
jq -e '.[0] | .complete == false' said >/dev/null || fail "$(cat said)"
state_is cancelled
expect 1 $V ctl a.vhdx cancel
# Ctrl-C and SIGTERM of the one who asked cancel it over there.
for signal in INT TERM; do
	start compact
	kill -$signal $job
	got=0
	wait $job || got=$?
	[ "$got" = "$([ $signal = TERM ] && echo 143 || echo 130)" ] || fail "$signal: exit $got"
	wait_for state_is cancelled
done
# A time limit is kept over there, too.
expect 0 $V compact --json --max-rate 200K --max-time 1 a.vhdx
json '.[0].complete == false'
says "stopped after 1 s"
[ "$(hash_of "$M/disk")" = "${sum%% *}" ] || fail "the mount shows something else"
# The mount ends while it runs: the job is cancelled and waited for.
end
cp full.vhdx a.vhdx
begin a.vhdx -o rw
start compact
end
wait $job || true
[ "$(length a.vhdx)" -gt "$(length whole.vhdx)" ] || fail "unmounting waited for all of it"
good "unmounted"
# By the other name.
begin a.vhdx -o rw
expect 0 $V ctl --json a.vhdx compact
json '.[0].complete'
[ "$(length a.vhdx)" = "$(length whole.vhdx)" ] || fail "$(length a.vhdx)"
expect 0 $V ctl a.vhdx compact --dry-run
shows "file would keep its length"
expect 2 $V ctl a.vhdx compact too much
end
good "mounted"

# One that has it open for reading can tell, but not do.
cp full.vhdx a.vhdx
begin a.vhdx
expect 5 $V compact a.vhdx
expect 0 $V compact --dry-run a.vhdx
shows "file would become"
expect 1 $V ctl a.vhdx compact
says "for writing"
end
cmp full.vhdx a.vhdx || fail "it was changed"
