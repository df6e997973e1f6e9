#!/bin/bash
# SPDX-License-Identifier: MIT
# Differencing chains, and an image whose log waits to be replayed.
. "$(dirname "$0")/../support/mounts.sh"
need_root

mkdir base top
$V create base/p.vhdx 32M -q
pattern 1 9000000 >data
$V write base/p.vhdx --offset 0 <data
$V create base/c.vhdx --parent base/p.vhdx -q
pattern 2 5000000 | $V write base/c.vhdx --offset 3M
want=$($V read base/c.vhdx | sha256sum | cut -d' ' -f1)
begin base/c.vhdx
[ "$(hash_of "$M/disk")" = "$want" ] || fail "the chain reads differently"
end

# A parent elsewhere only where it is allowed.
$V create top/t.vhdx --parent base/c.vhdx --parent-root "$T" -q
expect 4 "$VDFUSE" top/t.vhdx "$M"
begin top/t.vhdx -o rw --parent-root "$T"
[ "$(hash_of "$M/disk")" = "$want" ] || fail "the longer chain reads differently"
parents=$(cat base/p.vhdx base/c.vhdx | sha256sum)
printf changed | dd of="$M/disk" bs=1 seek=4000000 conv=notrunc,fsync status=none
[ "$(dd if="$M/disk" bs=1 skip=4000000 count=7 status=none)" = changed ] || fail "not written"
end
[ "$(cat base/p.vhdx base/c.vhdx | sha256sum)" = "$parents" ] || fail "a parent changed"
[ "$($V read top/t.vhdx --parent-root "$T" --offset 4000000 --length 7)" = changed ] ||
	fail "not there any more"

# Killed after a flush: the log is dirty, the mount replays it in memory only.
$V create d.vhdx 64M -q
begin d.vhdx -o rw
pattern 3 4000000 >data
dd if=data of="$M/disk" bs=1M seek=5 conv=notrunc,fsync status=none
die
cp d.vhdx copy.vhdx
expect 0 $V inspect --json copy.vhdx
json '.[0].dirty_log'
before=$(hash_of copy.vhdx)
begin copy.vhdx
dd if="$M/disk" bs=1M skip=5 count=4 status=none | head -c 4000000 | cmp - data
jq -e .dirty_log "$M/info.json" >/dev/null || fail "info.json knows no dirty log"
end
[ "$(hash_of copy.vhdx)" = "$before" ] || fail "a read-only mount replayed into the file"
begin d.vhdx -o rw
dd if="$M/disk" bs=1M skip=5 count=4 status=none | head -c 4000000 | cmp - data
end
$V check d.vhdx
