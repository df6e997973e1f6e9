#!/bin/bash
# SPDX-License-Identifier: MIT
# What looking at metadata reads: a handful of times, little, no payload and no BAT, whatever the
# size of the disk; also of a child that was copied alone to an empty folder. And nothing is written.
. "$(dirname "$0")/../support/cli.sh"
need jq strace
strace -o /dev/null true 2>/dev/null || {
	echo "skipped: no process can be traced here"
	exit 77
}

"$V" create big.vhdx 64T
"$V" write --offset 40T big.vhdx < <(pattern 1 5M)
"$V" tag big.vhdx +web env=prod
"$V" meta set big.vhdx title=T hardware.memory=1G expires=+90d
head -c 900K /dev/urandom | "$V" meta attach --kind state --name ram big.vhdx -
"$V" create --parent big.vhdx child.vhdx
"$V" tag child.vhdx +child
mkdir alone
cp --sparse=always child.vhdx alone/

# Where payload and BAT lie: no read may touch them.
bat=$("$V" map --json big.vhdx | jq '[.[0].extents[] | select(.state == "data") | .offset] | min')

cost()
{
	local image=$1 n bytes
	shift
	before=$(stat -c '%Y %Z' "$image")
	strace -f -o trace -e trace=pread64,preadv,preadv2,pwrite64,pwritev,write,ftruncate,fallocate,fsync,fdatasync \
		-P "$image" "$V" "$@" >"$T/out" 2>"$T/err" || fail "$*"
	n=$(grep -c pread trace)
	bytes=$(awk -F'= ' '/pread/ { sum += $NF } END { print sum }' trace)
	echo "$*: $n reads, $bytes bytes"
	{ [ "$n" -le 12 ] && [ "$bytes" -le 1048576 ]; } || fail "$*: $n reads of $bytes bytes"
	if grep -E 'pwrite|ftruncate|fallocate|sync' trace; then fail "$*: writes"; fi
	[ "$before" = "$(stat -c '%Y %Z' "$image")" ] || fail "$*: the file was touched"
	if [ "$image" = big.vhdx ]; then
		# The last argument of a read is where it begins.
		awk -F'[,)]' -v from="$bat" '/pread64/ { at = $(NF - 1) + 0; if (at >= from && at < from + 5242880) exit 1 }' trace ||
			fail "$*: reads payload"
	fi
}
for image in big.vhdx alone/child.vhdx; do
	cost $image inspect $image
	cost $image inspect --json $image
	cost $image tag $image
	cost $image meta get $image title
	cost $image meta get $image hardware.memory
	cost $image meta list $image
done
expect 0 "$V" inspect alone/child.vhdx
shows "tags      child web env=prod"
shows "can't be opened"
