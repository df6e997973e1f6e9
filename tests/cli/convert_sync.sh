#!/bin/bash
# SPDX-License-Identifier: MIT
# convert: the copy is durable before it has its name, and the name before vdtool ends; with
# --no-sync nothing is synced at all, and the content is the same. Long runs take the space that
# they need and no more.
. "$(dirname "$0")/../support/cli.sh"
need jq strace
strace -o /dev/null true 2>/dev/null || {
	echo "skipped: no process can be traced here"
	exit 77
}

# 5 MiB in runs of 1 byte to 2 MiB, zeros of 4 KiB to 1 MiB between them, an end inside a sector.
truncate -s 20M s.raw
put() { pattern "$1" "$3" | dd of=s.raw bs=4K oflag=seek_bytes seek="$2" conv=notrunc status=none; }
put 1 1048576 2097152
put 2 3407872 1000001
put 3 5242880 262144
put 4 5570560 300000
put 5 7340031 1
put 6 $((20 * 1048576)) 1500001
head -c 1M /dev/zero | dd of=s.raw bs=1M seek=9 conv=notrunc status=none

calls=fsync,fdatasync,sync_file_range,syncfs,sync,pwrite64,ftruncate,renameat,renameat2
for format in vhdx raw; do
	strace -f -y -o synced -e trace=$calls "$V" convert -q --format $format s.raw "d.$format" || fail "$format"
	# After the last write of the file: a sync; then its name, and a sync of the folder.
	sed -n 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' synced | sed 's/ftruncate/pwrite64/' |
		grep -v sync_file_range | uniq >order
	[ "$(tail -n 4 order | tr '\n' ' ')" = "pwrite64 fdatasync renameat2 fsync " ] ||
		fail "$format: $(tail -n 5 order | tr '\n' ' ')"

	strace -f -o unsynced -e trace=$calls "$V" convert -q --no-sync --format $format s.raw "u.$format" || fail "$format"
	if grep sync unsynced; then fail "$format: --no-sync syncs"; fi
	grep -q renameat2 unsynced || fail "$format: nothing was seen"
	expect 0 "$V" check "u.$format"
	expect 0 "$V" compare "d.$format" "u.$format"
	expect 0 "$V" compare s.raw "u.$format"
done

# Over an older one, and from stdin.
expect 0 "$V" convert --no-sync --force s.raw u.vhdx
expect 0 "$V" compare s.raw u.vhdx
expect 0 "$V" convert --no-sync --verify --force d.vhdx u.vhdx
"$V" convert -q --no-sync --force - u.vhdx <s.raw || fail stdin
expect 0 "$V" compare s.raw u.vhdx

# Space: that of the data, in pages, and of holes that are too small to be worth it.
"$V" convert -q d.vhdx - >o.raw || fail stdout
cmp -n "$(stat -c %s s.raw)" s.raw o.raw || fail "stdout"
data=$(((2097152 + 1000001 + 262144 + 300000 + 1500001) / 1024))
for each in d.raw u.raw o.raw; do
	held=$(($(stat -c %b $each) / 2))
	[ $held -ge $data ] && [ $held -le $((data + 160)) ] || fail "$each holds $held KiB of $data"
done
no_leftovers
