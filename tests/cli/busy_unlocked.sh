#!/bin/bash
# SPDX-License-Identifier: MIT
# An image that a program without locks has open for writing: what looks wrong in it may be half of
# a change, so that check answers 5 with the program's name; 3 only once that has closed it.
. "$(dirname "$0")/../support/cli.sh"
need jq

"$V" create a.vhdx 16M
exec 8<>a.vhdx
expect 0 "$V" check a.vhdx # nothing wrong: nothing to doubt
# Both headers torn, as if the writer were in the middle of something.
printf 'XXXX' | dd of=a.vhdx bs=1 seek=65600 conv=notrunc status=none
printf 'XXXX' | dd of=a.vhdx bs=1 seek=131136 conv=notrunc status=none
expect 5 "$V" check a.vhdx
says "vdtool: a.vhdx: in use by "
says "(pid $$)"
[ ! -s out ] || fail "findings of an image in use"
expect 5 "$V" check --json a.vhdx
json '.[0] | .error.code == "busy" and .findings == []'
exec 8>&-
expect 3 "$V" check a.vhdx
expect 3 "$V" check --json a.vhdx
json '.[0] | .errors > 0 and (.findings | length) > 0'

# Programs with locks are named before anything is read.
if command -v qemu-io >/dev/null; then
	"$V" create q.vhdx 16M
	mkfifo pipe
	qemu-io -f vhdx q.vhdx <pipe >/dev/null &
	holder=$!
	exec 9>pipe
	# Looking takes no lock that could be in qemu-io's way.
	is_busy()
	{
		"$V" inspect --json q.vhdx | jq -e '.[0].in_use' >/dev/null
	}
	wait_for is_busy
	expect 5 "$V" check q.vhdx
	says "(pid $holder), which has it open for writing"
	exec 9>&-
	wait $holder
	expect 0 "$V" check q.vhdx
fi
