#!/bin/bash
# SPDX-License-Identifier: MIT
# test-timeout: 600
# Edits of metadata are killed at random moments, in a VHDX and in the sidecar of a raw image: what
# is there afterwards is the state before or the state after, whole; the image keeps every rule, also
# for QEMU, and its payload stays. VD_KILL_ROUNDS: how often (24).
. "$(dirname "$0")/../support/cli.sh"
need jq qemu-img
rounds=${VD_KILL_ROUNDS:-24}

payload_of()
{
	"$V" read "$1" | sha256sum
}
# What the metadata says, but for times.
state_of()
{
	"$V" meta list --json "$1" |
		jq -c '.[0].records | map(select(.type == "document" or .type == "attachment") |
			[.type, .kind, .name, .length, .blake2b]) | sort' || return 1
	"$V" log --json "$1" 2>/dev/null | jq -c '[.[0].entries // [] | .[].operation]'
}
# edit IMAGE ROUND: one of several; the large ones take the longest.
edit()
{
	case $(($2 % 6)) in
	0) exec "$V" tag -q "$1" "round=$2" "+w$2" ;;
	1) exec "$V" meta set -q "$1" "title=Round $2" hardware.memory=$((1 + $2))G ;;
	2) exec "$V" meta attach -q --kind none --name "blob$(($2 % 4))" "$1" "blob$(($2 % 3))" ;;
	3) exec "$V" meta attach -q --kind state --name "ram" "$1" "blob$((($2 + 1) % 3))" ;;
	4) exec "$V" meta remove -q "$1" tags ;;
	5) exec "$V" meta set -q "$1" "description=$(seq -s ' ' "$2" $(($2 + 400)))" ;;
	esac
}
# The image with what belongs to it.
copy()
{
	rm -f copy.*
	cp --sparse=always "$1" "copy.${1##*.}"
	if [ -e "$1.vdmeta" ]; then cp --sparse=always "$1.vdmeta" "copy.${1##*.}.vdmeta"; fi
}

for i in 0 1 2; do
	head -c $((100000 + 350000 * i)) /dev/urandom >blob$i
done
"$V" create -q a.vhdx 16M
pattern 1 5M | "$V" write -q --offset 3M a.vhdx
"$V" tag -q a.vhdx +first
pattern 2 4M >r.raw
declare -A sum
for image in a.vhdx r.raw; do
	sum[$image]=$(payload_of $image)
done

killed=0 n_before=0 n_after=0 n_dirty=0
for ((i = 0; i < rounds || (i < 5 * rounds && (!killed || !n_before || !n_after)); i++)); do
	image=$([ $((i / 6 % 2)) = 0 ] && echo a.vhdx || echo r.raw)
	home=$image
	[ $image = a.vhdx ] || home=r.raw.vdmeta
	# Now and then the sidecar is made anew.
	if [ $image = r.raw ] && [ $((i % 6)) -ge 5 ]; then rm -f r.raw.vdmeta; fi
	before=$(state_of $image)
	# What would come of it, and how long that takes.
	copy $image
	begin=$(date +%s%N)
	(edit "copy.${image##*.}" "$i") 2>err || true
	takes=$((($(date +%s%N) - begin) / 1000))
	after=$(state_of "copy.${image##*.}")

	(edit $image "$i") 2>err &
	pid=$!
	# Half of them near the end, where it is committed.
	delay=$(((RANDOM * 32768 + RANDOM) % takes))
	[ $((i % 2)) = 0 ] || delay=$((takes / 2 + delay / 2))
	sleep "$(printf "%d.%06d" $((delay / 1000000)) $((delay % 1000000)))"
	kill -KILL $pid 2>/dev/null || true
	code=0
	wait $pid 2>/dev/null || code=$?
	[ $code != 137 ] || killed=$((killed + 1))

	now=$(state_of $image) || fail "round $i: the metadata can't be read"
	case $now in
	"$after")
		n_after=$((n_after + 1))
		;;
	"$before")
		n_before=$((n_before + 1))
		[ $code != 0 ] || fail "round $i: it said it was done, but isn't"
		;;
	*)
		printf '%s\n' "before: $before" "after: $after" "now: $now" >&2
		fail "round $i ($image): neither the state before nor the one after"
		;;
	esac
	[ "${sum[$image]}" = "$(payload_of $image)" ] || fail "round $i: the payload of $image changed"
	if [ -e $home ]; then
		if "$V" inspect --json $home | jq -e ".[0].dirty_log" >/dev/null; then n_dirty=$((n_dirty + 1)); fi
		expect 0 "$V" check $home
		expect 0 "$V" meta validate $image
		# QEMU refuses an image whose log isn't empty unless it may write: let it replay a copy.
		cp --sparse=always $home q.vhdx
		expect 0 qemu-img check -f vhdx -r all q.vhdx
		[ $image != a.vhdx ] || [ "${sum[$image]}" = "$(payload_of q.vhdx)" ] ||
			fail "round $i: the payload after QEMU's replay"
	fi
done
echo "count: kill -9 of metadata edits $i"
echo "$killed of $i were killed; $n_before found as before, $n_after as after; $n_dirty had a log to replay"
[ $killed -gt 0 ] || fail "none was killed in time"
[ $n_before -gt 0 ] && [ $n_after -gt 0 ] || fail "all died at the same moment"
# It goes on from there.
for image in a.vhdx r.raw; do
	expect 0 "$V" tag $image +last
	expect 0 "$V" log --verify $image
	expect 0 "$V" meta validate $image
done
