#!/bin/bash
# SPDX-License-Identifier: MIT
# What a mount leaves in the history: one line for an opening that changed something, and only where
# the image carries metadata of ours already.
. "$(dirname "$0")/../support/mounts.sh"
need_root
need jq

# lines N: the history has N of mounts.
lines()
{
	expect 0 $V log --json a.vhdx
	json ".[0].entries | map(select(.operation == \"mount\")) | length == $1"
}
scribble()
{
	pattern "$1" 100000 | dd of="$M/disk" bs=4096 conv=notrunc,fsync status=none
}

# Without metadata nothing is added.
$V create a.vhdx 64M -q
begin a.vhdx -o rw
scribble 1
end
expect 0 $V meta list --json a.vhdx
json '.[0].records | length == 0'

# Looking leaves nothing, also where there could have been writing.
$V tag a.vhdx +web
before=$(hash_of a.vhdx)
begin a.vhdx
head -c 1000000 "$M/disk" >/dev/null
end
[ "$(hash_of a.vhdx)" = "$before" ] || fail "reading changed the image"
begin a.vhdx -o rw
head -c 1000000 "$M/disk" >/dev/null
end
lines 0

# However much is written: one line, there before the mount is gone.
begin a.vhdx -o rw
scribble 2
lines 1
wait_for $V tag a.vhdx +db
scribble 3
fallocate -p -o 0 -l 65536 "$M/disk"
end
lines 1
json '.[0].entries | map(select(.operation == "mount"))[0].tool | startswith("vdfuse ")'
# The next opening has its own, also if it is killed.
begin a.vhdx -o rw
scribble 4
die
expect 0 $V log --verify a.vhdx
lines 2
