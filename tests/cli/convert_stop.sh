#!/bin/bash
# SPDX-License-Identifier: MIT
# convert that is ended by a signal, or by a full disk, leaves nothing and exits 128+n or 1.
. "$(dirname "$0")/../support/cli.sh"

has_temp()
{
	[ -n "$(find . -name '.out.vhdx.*.tmp')" ]
}

mkfifo pipe
for signal in INT TERM HUP; do
	# Job control, so that a background job doesn't ignore SIGINT.
	set -m
	"$V" convert --size 64M - out.vhdx <pipe 2>err &
	child=$!
	set +m
	exec 9>pipe
	pattern 1 4M >&9
	wait_for has_temp
	kill -s $signal $child
	got=0
	wait $child || got=$?
	exec 9>&-
	[ $got = $((128 + $(kill -l $signal))) ] || fail "SIG$signal: exit $got"
	[ ! -e out.vhdx ] || fail "SIG$signal left out.vhdx"
	no_leftovers
done

# The old file stays what it was when its replacement is stopped.
"$V" create out.vhdx 8M
sum=$(sha256sum <out.vhdx)
"$V" convert --force --size 64M - out.vhdx <pipe 2>err &
child=$!
exec 9>pipe
pattern 1 4M >&9
wait_for has_temp
kill -TERM $child
wait $child && fail "SIGTERM: exit 0"
exec 9>&-
[ "$sum" = "$(sha256sum <out.vhdx)" ] || fail "the old file was changed"
no_leftovers

# A file size limit stands for a full disk: an error, not a signal, and nothing is left.
pattern 1 8M >s.raw
rm out.vhdx
got=0
(
	ulimit -f 4096 # KiB
	exec "$V" convert s.raw out.vhdx
) 2>err || got=$?
[ $got = 1 ] || fail "full disk: exit $got"
says "vdtool: out.vhdx: "
[ ! -e out.vhdx ] || fail "full disk left out.vhdx"
no_leftovers
