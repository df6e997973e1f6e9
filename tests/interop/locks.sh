#!/bin/bash
# SPDX-License-Identifier: MIT
# QEMU and we keep each other out: who comes second is told who was first.
. "$(dirname "$0")/lib.sh"
need qemu-io
run "$V" create a.vhdx 64M
mkfifo go

# QEMU holds it until the fifo is closed.
qemu-io -f vhdx a.vhdx <go >qemu.out 2>&1 &
qemu=$!
exec 3>go
echo 'write 0 64k' >&3
for _ in $(seq 1000); do
	grep -q wrote qemu.out && break
	sleep 0.05
done
grep -q wrote qemu.out || fail "qemu-io doesn't come up: $(cat qemu.out)"
for command in "read --length 512" "check" "write --length 512"; do
	code=0
	# shellcheck disable=SC2086
	head -c 512 /dev/zero | "$V" $command a.vhdx >ours.out 2>ours.err || code=$?
	[ "$code" = 5 ] || fail "$command: exit $code instead of 5 while QEMU writes"
	grep -q "qemu-io" ours.err || fail "$command doesn't name the holder: $(cat ours.err)"
	grep -q "$qemu" ours.err || fail "$command doesn't tell the holder's pid: $(cat ours.err)"
done
run "$V" inspect a.vhdx
exec 3>&-
wait "$qemu"
run "$V" check a.vhdx

# We hold it while stdin stays open.
rm go
mkfifo go
"$V" write a.vhdx <go >ours.out 2>&1 &
ours=$!
exec 3>go
head -c 65536 /dev/zero >&3
code=0
for _ in $(seq 1000); do
	code=0
	qemu-io -f vhdx -c 'read 0 512' a.vhdx >qemu.out 2>&1 </dev/null || code=$?
	[ "$code" = 0 ] || break
	sleep 0.05
done
[ "$code" != 0 ] && grep -qi lock qemu.out || fail "QEMU opens what we write: $(cat qemu.out)"
exec 3>&-
wait "$ours" || fail "our write failed: $(cat ours.out)"
run qemu-img check -f vhdx a.vhdx
echo "exit 5 names qemu-io; QEMU gets no lock while we write"
