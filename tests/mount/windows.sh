#!/bin/bash
# SPDX-License-Identifier: MIT
# Windows that overlap keep each other out; of two daemons exactly one gets the image.
. "$(dirname "$0")/../support/mounts.sh"
need_root
need sfdisk

$V create a.vhdx 64M -q
begin a.vhdx -o rw
printf 'label: gpt\nsize=20M\nsize=20M\n' | sfdisk -q "$M/disk" >/dev/null 2>&1
wait_for test -e "$M/p2"
[ "$(stat -c %s "$M/p1")" = 20971520 ] || fail "p1 has $(stat -c %s "$M/p1") bytes"
[ "$(blockdev --getsize64 "$M/p1" 2>/dev/null || stat -c %s "$M/p1")" = 20971520 ]
jq -e '.partitions | length == 2' "$M/info.json" >/dev/null || fail "info.json has no partitions"

# While one is open for writing, one that overlaps can't be opened; others can.
exec 7<>"$M/p1"
if (exec 8<"$M/disk") 2>/dev/null; then fail "disk could be read beside a writer of p1"; fi
if (exec 8<>"$M/disk") 2>/dev/null; then fail "disk could be written beside a writer of p1"; fi
(exec 8<"$M/disk") 2>err || grep -q "busy" err || fail "not EBUSY"
exec 8<>"$M/p2"
exec 8>&-
exec 8<>"$M/p1"
exec 8>&- 7>&-
exec 7<"$M/disk"
exec 8<"$M/p1"
if (exec 9<>"$M/p1") 2>/dev/null; then fail "p1 could be written beside a reader of disk"; fi
exec 7<&- 8<&-

# What is written through one name is read through the other, caches or not.
for i in 1 2 3 4 5; do
	cat "$M/p1" >/dev/null
	cat "$M/disk" >/dev/null
	printf "round$i" | dd of="$M/p1" bs=1 seek=70000 conv=notrunc status=none
	at=$((70000 + $(jq '.partitions[0].start' "$M/info.json")))
	[ "$(dd if="$M/disk" bs=1 skip=$at count=6 status=none)" = "round$i" ] || fail "stale: $i"
	printf "tour0$i" | dd of="$M/disk" bs=1 seek=$at conv=notrunc status=none
	[ "$(dd if="$M/p1" bs=1 skip=70000 count=6 status=none)" = "tour0$i" ] || fail "stale p1: $i"
done

# A second daemon: in use, and by whom.
mkdir m2
expect 5 "$VDFUSE" -o rw a.vhdx m2
says "in use by vdfuse (pid $pid)"
expect 5 "$VDFUSE" a.vhdx m2
end

# A race.
for i in $(seq 10); do
	mkdir -p m1 m2
	"$VDFUSE" -o rw a.vhdx m1 2>err1 &
	one=$!
	"$VDFUSE" -o rw a.vhdx m2 2>err2 &
	two=$!
	mounts+=("$T/m1" "$T/m2")
	code1=0 code2=0
	wait $one || code1=$?
	wait $two || code2=$?
	case $code1,$code2 in
	0,5) winner=m1 ;;
	5,0) winner=m2 ;;
	5,5) winner= ;; # each saw the other's lock: allowed, but not the rule
	*) fail "exit codes $code1 and $code2: $(cat err1 err2)" ;;
	esac
	[ -n "$winner" ] || continue
	n_won=$((${n_won:-0} + 1))
	[ -e $winner/disk ] || fail "the winner has mounted nothing"
	umount $winner
	wait_for $V write a.vhdx --length 0 </dev/null
done
[ "${n_won:-0}" -ge 5 ] || fail "of 10 races only ${n_won:-0} were won"
