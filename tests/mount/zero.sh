#!/bin/bash
# SPDX-License-Identifier: MIT
# Punched and zeroed ranges read as zero, whatever the kind of disk; SEEK_DATA and SEEK_HOLE.
. "$(dirname "$0")/../support/mounts.sh"
need_root
need fallocate xfs_io

pattern 5 16777216 >data
$V create parent.vhdx 16M -q
$V write parent.vhdx <data
$V create dynamic.vhdx 16M -q
$V create fixed.vhdx 16M --type fixed -q
$V create child.vhdx --parent parent.vhdx -q
$V create big.vhdx 16M --sector-size 4096 -q

# zero_out FILE OFFSET LENGTH: not by fallocate, which file systems of hosts may lack.
zero_out()
{
	head -c "$3" /dev/zero | dd of="$1" bs=1M seek="$2" oflag=seek_bytes conv=notrunc status=none
}

# Ranges: whole blocks, parts of one, unaligned, up to the end and beyond.
ranges='0:2097152 2097152:4194304 5000000:100 7340033:1000001 8388608:4096 12582000:9000000'
for kind in dynamic fixed child big; do
	for how in p z; do
		cp data model
		[ "$kind" = child ] || dd if=data of=seed bs=1M status=none
		begin $kind.vhdx -o rw
		dd if=data of="$M/disk" bs=1M conv=notrunc status=none
		for range in $ranges; do
			at=${range%:*} len=${range#*:}
			if [ $how = p ]; then
				fallocate -p -o "$at" -l "$len" "$M/disk"
			else
				fallocate -z -n -o "$at" -l "$len" "$M/disk"
			fi
			[ $((at + len)) -le 16777216 ] || len=$((16777216 - at))
			zero_out model "$at" "$len"
			cmp "$M/disk" model || fail "$kind: $how $range isn't zero through the cache"
		done
		end
		begin $kind.vhdx
		cmp "$M/disk" model || fail "$kind: $how isn't zero after mounting again"
		end
		$V read $kind.vhdx | cmp - model || fail "$kind: vdtool sees something else"
		$V check -q $kind.vhdx >/dev/null
	done
done

# A child's punched block shows zeros, not its parent.
rm child.vhdx
$V create child.vhdx --parent parent.vhdx -q
begin child.vhdx -o rw
fallocate -p -o 1M -l 3M "$M/disk"
zero_out data 1048576 3145728
cmp "$M/disk" data || fail "the parent shows through"
end

# Where data lies.
$V create sparse.vhdx 64M -q
begin sparse.vhdx -o rw
dd if=/dev/urandom of="$M/disk" bs=1M seek=10 count=1 conv=notrunc,fsync status=none
expect 0 xfs_io -r -c "seek -a -r 0" "$M/disk"
grep -Eq 'DATA[[:space:]]+10485760' out || fail "no data at 10M"
grep -Eq 'HOLE[[:space:]]+(11534336|12582912)' out || fail "no hole behind it"
expect 0 xfs_io -r -c "seek -d 20M" "$M/disk"
grep -Eq 'DATA[[:space:]]+EOF' out || fail "data behind the last: $(cat out)"
expect 0 xfs_io -r -c "seek -h 67108863" -c "seek -h 64M" "$M/disk"
[ "$(grep HOLE out | tr -s '[:space:]' ' ')" = "HOLE 67108863 HOLE EOF " ] || fail "the end: $(cat out)"
cp --sparse=always "$M/disk" copy
cmp "$M/disk" copy
[ "$(stat -c %b copy)" -lt 8192 ] || fail "the copy isn't sparse"
# A disk doesn't get longer: nothing claims that it did.
if fallocate -z -o 63M -l 2M "$M/disk" 2>err; then fail "zeros behind the end of the disk"; fi
grep -q "No space left" err || fail "$(cat err)"
fallocate -z -n -o 63M -l 2M "$M/disk"
fallocate -p -o 65M -l 2M "$M/disk"
[ "$(stat -c %s "$M/disk")" = 67108864 ] || fail "$(stat -c %s "$M/disk") bytes"
# Space for real can't be had ahead.
if fallocate -l 1M "$M/disk" 2>/dev/null; then fail "fallocate claims to have reserved"; fi
end
