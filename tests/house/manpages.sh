#!/bin/bash
# SPDX-License-Identifier: MIT
# Man pages are well formed; the page of each library names its public functions and none that isn't
# there; and its example program compiles, with the static and with the shared libraries by what
# pkg-config says, and does what the page says.
set -eu

pages=$TOP/docs/man
cd "$pages"
for page in *.[1-8]; do
	mandoc -T lint -W warning "$page" || { echo "$page: not well formed"; exit 1; }
done

# The public names of a library; what is lent to the upper ones isn't among them.
public_names() {
	sed -n -e '/^VDISK_PRIVATE/q' -e 's/^\t\(vd_[a-z0-9_]*\);$/\1/p' "$TOP/libvdisk/$1.map"
}
for map in "$TOP"/libvdisk/*.map; do
	lib=$(basename "$map" .map)
	[ -e "$lib.3" ] || { echo "$lib has no page"; exit 1; }
	public_names "$lib" | sort >"$T/names"
	grep -ow 'vd_[a-z0-9_]*' "$lib.3" | sort -u >"$T/mentioned"
	missing=$(comm -23 "$T/names" "$T/mentioned")
	[ -z "$missing" ] || { echo "$lib.3 does not mention" $missing; exit 1; }
	public_names "$lib" >>"$T/all"
done
sort -o "$T/all" "$T/all"
for page in libvdisk*.3; do
	[ -e "$TOP/libvdisk/${page%.3}.map" ] || { echo "$page: there is no such library"; exit 1; }
	# Names in examples may also be those of structures.
	invented=$(grep -oE '\bFn vd_[a-z0-9_]+' "$page" | sed 's|Fn ||' | sort -u | comm -23 - "$T/all")
	[ -z "$invented" ] || { echo "$page speaks of" $invented "which no library has"; exit 1; }
done

# What pkg-config would say if the libraries were installed where they were built.
uring=
readelf -d "$B/libvdisk.so" | grep -q 'NEEDED.*liburing' && uring=' -luring'
mkdir "$T/pkgconfig"
for pc in "$TOP"/libvdisk/*.pc.in; do
	sed -e "s|@libdir@|$B|" -e "s|@includedir@|$TOP/libvdisk/include|" -e "s|@prefix@|$B|" \
		-e 's|@VERSION@|0|g' -e "s|@URING@|$uring|" "$pc" >"$T/pkgconfig/$(basename "$pc" .in)"
done
export PKG_CONFIG_PATH=$T/pkgconfig
strict='gcc -std=c11 -D_DEFAULT_SOURCE -Wall -Wextra -Werror'

# The example of a page, as roff would show it: $1, linked with the archives, and $1-shared.
build_example() {
	local lib=$1

	sed -n '/^\.\\" example begins/,/^\.\\" example ends/p' "$pages/$lib.3" |
		sed -e '/^\./d' -e 's/\\e/\\/g' -e 's/\\&//g' >"$lib.c"
	[ -s "$lib.c" ] || { echo "no example in $lib.3"; exit 1; }
	# shellcheck disable=SC2046
	$strict "$lib.c" -o "$lib" $(pkg-config --static --cflags --libs "$lib" |
		sed "s|-l\(vdisk[a-z-]*\)|$B/lib\1.a|g")
	# shellcheck disable=SC2046
	$strict "$lib.c" -o "$lib-shared" $(pkg-config --cflags --libs "$lib")
	readelf -d "$lib-shared" | grep -q "NEEDED.*\[$lib.so.0\]" ||
		{ echo "$lib isn't linked shared"; exit 1; }
}
has() { # FILE LINE...
	local file=$1 line

	shift
	for line in "$@"; do
		grep -qxF -e "$line" "$file" || { echo "\"$line\" isn't in $file:"; cat "$file"; exit 1; }
	done
}
export LD_LIBRARY_PATH=$B
cd "$T"

build_example libvdisk
for program in libvdisk libvdisk-shared; do
	"./$program" "$program.vhdx" >out
	has out 'read back: hello'
	"$B/vdtool/vdtool" check "$program.vhdx"
done
if ./libvdisk libvdisk.vhdx 2>err; then
	echo 'a second file of that name'
	exit 1
fi
grep -q 'libvdisk.vhdx' err

build_example libvdisk-meta
# A disk with a table of one partition of 4 MiB from 1 MiB on, with type 0x83.
truncate -s 8M parted.raw
printf '\x00\x00\x00\x00\x83\x00\x00\x00\x00\x08\x00\x00\x00\x20\x00\x00' |
	dd of=parted.raw bs=1 seek=446 conv=notrunc status=none
printf '\x55\xaa' | dd of=parted.raw bs=1 seek=510 conv=notrunc status=none
for program in libvdisk-meta libvdisk-meta-shared; do
	"./$program" web.vhdx >out
	has out 'tag = web' 'title = A web server' 'partition 0 (none): 1073741824 bytes, unknown'
	"./$program" parted.raw >out
	has out 'tag = web' 'partition 1 (mbr): 4194304 bytes, unknown'
done
# What it said is in the image, and twice in its history.
"$B/vdtool/vdtool" check web.vhdx
"$B/vdtool/vdtool" meta get web.vhdx title >out
has out 'A web server'
n=$("$B/vdtool/vdtool" log --json web.vhdx | grep -o '"operation":"describe"' | wc -l)
[ "$n" = 2 ] || { echo "the history has $n entries"; exit 1; }
[ -e parted.raw.vdmeta ]

build_example libvdisk-compact
for program in libvdisk-compact libvdisk-compact-shared; do
	rm -f holes.vhdx
	"$B/vdtool/vdtool" create --block-size 1M holes.vhdx 64M
	head -c 16M /dev/urandom | "$B/vdtool/vdtool" write holes.vhdx
	"$B/vdtool/vdtool" discard -o 0 -l 4M holes.vhdx
	head -c 4M /dev/zero | "$B/vdtool/vdtool" write -o 8M holes.vhdx
	"$B/vdtool/vdtool" read holes.vhdx >before
	size=$(stat -c %s holes.vhdx)
	"./$program" holes.vhdx >out 2>progress
	now=$(stat -c %s holes.vhdx)
	[ "$now" -le $((size - (8 << 20))) ] || { echo "$size bytes became $now"; exit 1; }
	grep -qE "^$size bytes, now $now; [1-9][0-9]* blocks moved\$" out || { cat out; exit 1; }
	grep -q '^move: ' progress
	"$B/vdtool/vdtool" check holes.vhdx
	"$B/vdtool/vdtool" read holes.vhdx | cmp - before
	"./$program" holes.vhdx >out 2>progress
	has out "$now bytes, now $now; 0 blocks moved"
done
if ./libvdisk-compact parted.raw >out 2>err; then
	echo 'a raw image was compacted'
	exit 1
fi
grep -q 'parted.raw: ' err
