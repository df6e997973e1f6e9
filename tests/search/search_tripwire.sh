#!/bin/bash
# SPDX-License-Identifier: MIT
# Searching touches neither payload nor BAT, with a bounded number of reads an image: shown on a file
# system that fails such reads and counts all others. And one that never answers doesn't hold it up.
. "$(dirname "$0")/../support/mounts.sh"
need jq mke2fs
mkdir -p real tree/m
valid=$TOP/metadata-schema/examples/valid

# ---- the images
describe()
{
	local category
	for category in content hardware host validity rights patches network tags; do
		"$V" meta set -q "$1" "$category" "$valid/$category.xml"
	done
	"$V" tag -q "$1" +wired
}
"$V" create -q real/dyn.vhdx 64M
pattern 1 5M | "$V" write -q --offset 3M real/dyn.vhdx
describe real/dyn.vhdx
"$V" create -q real/huge.vhdx 64T
pattern 2 5M | "$V" write -q --offset 40T real/huge.vhdx
describe real/huge.vhdx
"$V" create -q --parent real/dyn.vhdx real/kid.vhdx
"$V" tag -q real/kid.vhdx +wired
pattern 4 8M >real/disk.raw
describe real/disk.raw
mkdir -p root/etc
seq 1000 >root/etc/numbers
for i in {1..500}; do
	: >root/etc/"file$i.conf"
done
mke2fs -q -t ext4 -d root fs.raw 16M
"$V" convert -q fs.raw real/indexed.vhdx
"$V" meta scan -q --files real/indexed.vhdx >scan.out
"$V" tag -q real/indexed.vhdx +wired
head -c 4M /dev/urandom >real/noise.bin
cp real/dyn.vhdx real/zz-stuck.vhdx

# ---- the wires, from the region table itself and not from what we say of it
number()
{
	od -An -v -t u"$3" -j "$2" -N "$3" "$1" | tr -d ' '
}
region()
{
	local n i at
	n=$(number "$1" $((196608 + 8)) 4)
	for ((i = 0; i < n; i++)); do
		at=$((196608 + 16 + 32 * i))
		if [ "$(od -An -v -t x1 -j $at -N 16 "$1" | tr -d ' \n')" = "$2" ]; then
			echo "$(number "$1" $((at + 16)) 8) $(number "$1" $((at + 24)) 4)"
		fi
	done
}
vhdx=(dyn.vhdx huge.vhdx kid.vhdx indexed.vhdx disk.raw.vdmeta)
for name in "${vhdx[@]}"; do
	read -r at len < <(region "real/$name" 06a27c8b90479a4bb8fe575f050f886e)
	echo "$name 1048576 $((at - 1048576))"
	echo "$name $((at + len)) $(((1 << 62) - at - len))"
done >rules
echo "disk.raw 4096 $((8388608 - 4096 - 512))" >>rules
# Of a file without an ending that is known, eight bytes tell.
echo "noise.bin 512 $((1 << 62))" >>rules
echo "!zz-stuck.vhdx 0 $((1 << 62))" >stuck.rules

trip_on()
{
	: >m.log
	"$B/tests/meta/tripwire" real tree/m "$1" "$T/m.log" >tripwire.out 2>&1 &
	pid=$!
	pids+=("$pid")
	mounts+=("$T/tree/m")
	for _ in $(seq 600); do
		if [ -e tree/m/dyn.vhdx ]; then return 0; fi
		if ! kill -0 $pid 2>/dev/null; then break; fi
		sleep 0.1
	done
	skip "FUSE can't be used here: $(tail -n 1 tripwire.out)"
}
trip_off()
{
	umount tree/m 2>/dev/null || fusermount3 -u tree/m
	wait $pid || true
}

trip_on rules
# A wire that doesn't trip proves nothing.
expect 1 "$V" read --length 64K tree/m/dyn.vhdx
expect 1 "$V" inspect --blocks tree/m/huge.vhdx
for name in dyn.vhdx huge.vhdx; do
	grep -q "^trip $name" m.log || fail "the wire of $name doesn't trip"
done
rm real/zz-stuck.vhdx

# hunt N FILES WORDS...: finds N, trips nothing, and keeps the bounds for each file.
hunt()
{
	local n=$1 index_reads=${index_reads:-12} wrong
	shift
	: >m.log
	expect 0 "$V" search --count "$@"
	silent
	[ "$(cat out)" = "$n" ] || fail "$*: $(cat out) instead of $n"
	if grep -q '^trip' m.log; then fail "$*: touches $(grep '^trip' m.log | head -3)"; fi
	wrong=$(awk -v most="$index_reads" '{ n[$2]++; b[$2] += $4 }
		END { for (f in n) { print f ": " n[f] " reads, " b[f] " bytes" >"/dev/stderr"
			if (n[f] > most || b[f] > 1048576) print f } }' m.log 2>reads)
	echo "$*: $(tr '\n' ';' <reads)"
	[ -z "$wrong" ] || fail "$*: too much of $wrong is read"
	[ "$(wc -l <reads)" -ge 5 ] || fail "$*: not all were looked at"
}
hunt 5 tag:wired tree/m
hunt 5 '*' tree/m
hunt 4 'package:* AND cve.open{severity:*} AND image.virtual-size>1M' tree/m
hunt 1 'image.virtual-size>1T title:*' tree/m
hunt 2 'metadata.place:sidecar OR image.type:differencing' tree/m
hunt 4 --xpath '//content:title' tree/m
index_reads=24 hunt 1 'tag:wired AND file:etc/file499.conf' -q tree/m
grep -q 'noise.bin' reads || fail "noise.bin wasn't looked at"

# ---- one file system
cp real/dyn.vhdx tree/local.vhdx
cp real/dyn.vhdx tree/zlocal.vhdx
: >m.log
expect 0 "$V" search -x '*' tree
[ "$(sort out)" = "tree/local.vhdx
tree/zlocal.vhdx" ] || fail "-x leaves the file system"
[ ! -s m.log ] || fail "-x reads there"
expect 0 "$V" search --count '*' tree
[ "$(cat out)" = 7 ] || fail "without -x"
trip_off

# ---- an image whose reads are never answered, then a file system that answers nothing
cp real/dyn.vhdx real/zz-stuck.vhdx
trip_on stuck.rules
expect 0 timeout 100 "$V" search --jobs 1 --timeout 3 --json tag:wired tree
json 'map(.path) | contains(["tree/m/dyn.vhdx", "tree/m/huge.vhdx", "tree/zlocal.vhdx"]) and length == 7'
says "tree/m/zz-stuck.vhdx: given up: no answer from the file system within 3 s"
grep -q '^hang' m.log || fail "it didn't hang"
kill -KILL $pid
umount -l tree/m
wait $pid || true
rm real/zz-stuck.vhdx
trip_on rules
kill -STOP $pid
expect 1 timeout 100 "$V" search --strict --timeout 3 -q tag:wired tree
[ "$(cat out)" = tree/local.vhdx ] || fail "what comes before the folder that hangs"
says "no answer from the file system"
kill -CONT $pid
trip_off
