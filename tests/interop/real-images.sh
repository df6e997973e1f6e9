#!/bin/bash
# SPDX-License-Identifier: MIT
# Images made by Windows and QEMU are read as the manifest says; the dirty one without a byte of
# it changing. What isn't VHDX is refused, never taken for raw.
. "$(dirname "$0")/lib.sh"
[ -d "$VD_IMAGES" ] || skip "the folder of real images isn't there (VD_IMAGES)"
need bunzip2 sha256sum

unpack()
{
	[ -f "$VD_IMAGES/$1.bz2" ] || skip "$1 isn't among the real images"
	bunzip2 -c "$VD_IMAGES/$1.bz2" | cp --sparse=always /dev/stdin "$1"
}

# The content's sha256 as the manifest has it.
wanted()
{
	grep -F "| $1 |" "$VD_IMAGES/MANIFEST.md" | grep -oE '[0-9a-f]{64}' | head -1
}

for image in config2_base.vhdx iotest-dynamic-1G.vhdx iotest-dirtylog-10G-4M.vhdx; do
	unpack "$image"
	before=$(sha256sum <"$image")
	want=$(wanted "$image")
	[ ${#want} = 64 ] || fail "the manifest has no sha256 of $image"
	got=$("$V" read "$image" | sha256sum | cut -d' ' -f1)
	[ "$got" = "$want" ] || fail "$image reads with sha256 $got, the manifest says $want"
	run "$V" inspect "$image"
	"$V" check "$image" >check.out 2>&1 || [ $? = 3 ] || fail "check of $image: $(cat check.out)"
	[ "$(sha256sum <"$image")" = "$before" ] || fail "reading $image changed the file"
done
# Replayed for good, the content is the same.
cp --sparse=always iotest-dirtylog-10G-4M.vhdx replayed.vhdx
head -c 512 /dev/zero | run "$V" write --offset 9G replayed.vhdx
run "$V" compare iotest-dirtylog-10G-4M.vhdx replayed.vhdx

for image in ext2.vhd hyperv2012r2-dynamic.vhd virtualpc-dynamic.vhd afl5.img; do
	unpack "$image"
	for what in inspect read check; do
		code=0
		timeout 10 "$V" "$what" "$image" >refused.out 2>refused.err || code=$?
		case $code in
		1 | 3) ;;
		*) fail "$what $image: exit $code instead of a refusal" ;;
		esac
		grep -qi vhd refused.err || fail "$what $image isn't refused as VHD: $(cat refused.err)"
		[ "$what" = inspect ] || [ ! -s refused.out ] || [ "$what" = check ] ||
			fail "$what $image gives out bytes"
	done
done
rm -f ./*.vhdx ./*.vhd ./*.img
echo "3 VHDX read as others read them, 4 files of another format refused"
