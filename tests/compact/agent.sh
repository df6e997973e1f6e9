#!/bin/bash
# SPDX-License-Identifier: MIT
# compact --qga: the guest trims first. Its agent is the guest's, so what it says must not hurt: no
# end, no sense, no answer.
. "$(dirname "$0")/../support/cli.sh"
need jq
agent=$B/tests/compact/agent
pids=()
trap 'kill -KILL "${pids[@]}" 2>/dev/null || true' EXIT

$V create a.vhdx 16M --block-size 1M -q
pattern 1 4000000 | $V write -q a.vhdx
$V discard a.vhdx --offset 0 --length 2M -q
cp a.vhdx full.vhdx

# ask HOW CODE: with an agent of that kind.
ask()
{
	rm -f s
	"$agent" s "$1" >heard &
	pids+=($!)
	wait_for test -S s
	expect "$2" timeout 60 $V compact --qga s a.vhdx
}

ask good 0
says "the guest trimmed 2 file systems, 6 MiB"
says 'the guest can'"'"'t trim /boot\x1b[2J: trim not supported'
shows "a.vhdx  "
[ "$(wc -l <heard)" = 2 ] || fail "$(cat heard)"
grep -q '^!{"execute":"guest-sync-delimited","arguments":{"id":[0-9]*}}$' heard || fail "$(cat heard)"
grep -q '^{"execute":"guest-fstrim"}$' heard || fail "$(cat heard)"
if cmp -s a.vhdx full.vhdx; then
	fail "it wasn't compacted"
fi

# What is left over from others who talked to the agent doesn't count.
ask stale 0
says "the guest trimmed 2 file systems"
ask no-json 0
ask strange 0

# Nothing is compacted if the guest didn't trim.
cp full.vhdx a.vhdx
ask failing 1
says 'guest agent: not\x1b[31m today'
for how in number deep many long half line noise hangup; do
	ask $how 1
	says "guest agent: "
done
cmp a.vhdx full.vhdx || fail "it was compacted all the same"
expect 1 $V compact --qga nothing a.vhdx
says "nothing: "
expect 1 $V compact --qga full.vhdx a.vhdx
expect 2 $V compact --qga "$(printf 's%.0s' {1..200})" a.vhdx
expect 2 $V compact --qga s --dry-run a.vhdx

# One that doesn't answer is waited for, but not forever, and not when we are told to stop.
rm -f s
"$agent" s silent >heard &
pids+=($!)
wait_for test -S s
$V compact --qga s a.vhdx 2>err &
job=$!
wait_for test -s heard
SECONDS=0
kill -TERM $job
got=0
wait $job || got=$?
[ $got = 143 ] || fail "exit $got"
[ $SECONDS -lt 9 ] || fail "$SECONDS s until it stopped"
ask silent 1
says "no answer"
cmp a.vhdx full.vhdx
