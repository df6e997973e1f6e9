#!/bin/bash
# SPDX-License-Identifier: MIT
# The image shrinks while a file system on it is in use: ext4 on a loop device over vdfuse, fio with
# verification running all the time, tags edited in between. VD_LONG=1: with 2 GiB.
. "$(dirname "$0")/../support/mounts.sh"
need_loop
need jq fio mkfs.ext4 e2fsck fstrim qemu-img
need_filesystem ext4
if [ -n "${VD_LONG:-}" ]; then
	disk=4G n_files=128 file_mb=16 fio_mb=64
else
	disk=640M n_files=48 file_mb=8 fio_mb=16
fi

space() { echo $(($(stat -c %b "$1") * 512)); }
length() { stat -c %s "$1"; }

# Bytes that the file system has in use.
used()
{
	stat -f -c '%b %f %S' "$T/fs" | awk '{ print ($1 - $2) * $3 }'
}

$V create a.vhdx $disk --block-size 1M -q
$V create empty.vhdx $disk --block-size 1M -q
$V tag -q a.vhdx +fresh
begin a.vhdx -o rw
attach "$M/disk"
mkfs.ext4 -q "$loop"
mount_fs ext4 "$loop"

for ((i = 0; i < n_files; i++)); do
	pattern $((i + 1)) $((file_mb * 1048576)) >"$T/fs/f$i"
done
sync -f "$T/fs"
full=$(space a.vhdx)
for ((i = 0; i < n_files; i++)); do
	[ $((i % 4)) = 1 ] || rm "$T/fs/f$i"
done
(cd "$T/fs" && find . -name 'f*' -print0 | sort -z | xargs -0 sha256sum) >sums
[ "$(wc -l <sums)" = $((n_files / 4)) ]

# A load that reads back and checks all that it writes, over and over; one that keeps taking and
# giving back space; and the trim of what was deleted.
mkdir "$T/fs/fio"
fio --name=verify --directory="$T/fs/fio" --size=${fio_mb}M --rw=randwrite --bs=4k-64k \
	--verify=crc32c --do_verify=1 --verify_fatal=1 --verify_backlog=64 --loops=100000 \
	--time_based --runtime=900 --numjobs=2 --ioengine=psync --fallocate=none --fsync=64 \
	--rate_iops=400 --output=fio.log >/dev/null 2>&1 &
fio=$!
pids+=($fio)
(
	while [ ! -e stop ]; do
		for i in 1 2 3; do
			pattern 9 3000000 >"$T/fs/coming$i"
		done
		sync -f "$T/fs"
		rm -f "$T"/fs/coming*
		fstrim "$T/fs"
	done
) &
churn=$!
pids+=($churn)
wait_for does_io $fio 2
fstrim "$T/fs"
before=$(space a.vhdx)
was=$(length a.vhdx)
[ "$was" -ge $((full * 9 / 10)) ] || fail "the file is $was long already"

# The dry run asks the same process, and changes nothing.
expect 0 $V compact --dry-run --json a.vhdx
json '.[0].dry_run and .[0].file_after < .[0].file_before'
[ "$(length a.vhdx)" -ge "$was" ] || fail "the dry run cut the file"
expect 5 $V compact --free-space a.vhdx
says "process $pid"

(
	for ((i = 0; i < 500; i++)); do
		[ ! -e compacted ] || break
		$V tag -q a.vhdx "n=$i" || echo "tag $i failed" >>tag.errors
		sleep 0.05
	done
	echo "$i" >tags
) &
tagger=$!
expect 0 $V compact --json a.vhdx
touch compacted
kill -0 $fio || fail "fio ended before the compaction did: $(tail -5 fio.log)"
cp out first
json '.[0] | .moves > 0'
wait $tagger
[ ! -e tag.errors ] || fail "$(cat tag.errors)"
[ "$(cat tags)" -gt 0 ] || fail "no tag was edited meanwhile"
[ "$(length a.vhdx)" -lt "$was" ] || fail "the file is as long as before"
# Blocks were moved from under a load that was running: it has written since.
sleep 0.5
kill -0 $fio || fail "fio: $(tail -5 fio.log)"
during=$(length a.vhdx)
# As a user sees it.
expect 0 $V compact a.vhdx
shows "in use by vdfuse (pid $pid): asking it"
shows 'a.vhdx  '
expect 0 $V ctl --json a.vhdx status
json '.[0].job | .name == "compact" and .state == "done"'

touch stop
wait $churn
kill -INT $fio
# It ends with 128 where a signal ended it and nothing else was wrong.
wait $fio || [ $? = 128 ] || fail "fio: $(tail -5 fio.log)"
[ "$(grep -c 'err= 0' fio.log)" = 2 ] || fail "fio found something else than it wrote: $(cat fio.log)"
if grep -q 'verify: bad\|verify failed' fio.log; then
	fail "fio: $(cat fio.log)"
fi
rm -r "$T/fs/fio"
sync -f "$T/fs"
fstrim "$T/fs"
# At rest: within 5 % of what is in use and of the structures.
expect 0 $V compact --json a.vhdx
json '.[0].complete'
live=$(used)
overhead=$((8 * 1048576 + $(space empty.vhdx))) # the log was used, an empty image's not
[ "$(space a.vhdx)" -le $(((live + overhead) * 105 / 100)) ] ||
	fail "$(space a.vhdx) bytes on the host for $live in use"
(cd "$T/fs" && sha256sum --quiet -c "$T/sums") || fail "other hashes"
sync -f "$T/fs"
umount "$T/fs"
e2fsck -fn "$loop" >out 2>&1 || fail "e2fsck: $(cat out)"
# File length: the blocks with any live byte.
expect 0 $V compact --json a.vhdx
detach
sum=$(hash_of "$M/disk")
end
# File length: the blocks with any live byte, and the structures, which an empty image has too.
expect 0 $V inspect --blocks --json a.vhdx
stored=$(jq '.[0] | .block_size * (.blocks | .present + .partial)' out)
[ "$stored" -gt 0 ]
[ "$(length a.vhdx)" = $((stored + $(length empty.vhdx))) ] ||
	fail "$(length a.vhdx) bytes long for blocks of $stored"
expect 0 $V check -q a.vhdx
qemu-img check -q a.vhdx
qemu-img convert -U -f vhdx -O raw a.vhdx a.raw
[ "$(hash_of a.raw)" = "$sum" ] || fail "QEMU reads something else"
rm a.raw
expect 0 $V log --json a.vhdx
json '[.[0].entries[] | select(.operation == "compact")] | length >= 2'
expect 0 $V tag a.vhdx
shows "n="
echo "count: MiB before $((before >> 20))"
echo "count: MiB in use $((live >> 20))"
echo "count: MiB after $(($(space a.vhdx) >> 20))"
echo "count: MiB of file before $((was >> 20))"
echo "count: MiB of file under load $((during >> 20))"
echo "count: MiB of file after $(($(length a.vhdx) >> 20))"
echo "count: blocks moved while fio was running $(jq '.[0].moves' first)"
echo "count: longest wait of a write in microseconds $(jq '.[0].longest_hold_ns / 1000 | floor' first)"
