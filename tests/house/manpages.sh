#!/bin/bash
# SPDX-License-Identifier: MIT
# Man pages are well formed; libvdisk.3 names every public function, and its example program
# compiles and does what the page says.
set -eu

cd "$TOP/docs/man"
for page in *.[1-8]; do
	mandoc -T lint -W warning "$page" || { echo "$page: not well formed"; exit 1; }
done

# Each public function is named on the page.
sed -n -e "/^VDISK_PRIVATE/q" -e 's/^\t\(vd_[^*]*\);$/\1/p' "$TOP/libvdisk/libvdisk.map" >"$T/names"
sed -n 's/^\t\(vd_[^*]*\);$/\1/p' "$TOP"/libvdisk/libvdisk-*.map >>"$T/names"
while read -r name; do
	grep -q "\b$name\b" libvdisk.3 || { echo "libvdisk.3 does not mention $name"; exit 1; }
done <"$T/names"

cd "$T"
# The example of the page, as roff would show it.
sed -n '/^\.\\" example begins/,/^\.\\" example ends/p' "$TOP/docs/man/libvdisk.3" |
	sed -e '/^\./d' -e 's/\\e/\\/g' -e 's/\\&//g' >example.c
[ -s example.c ] || { echo 'no example in libvdisk.3'; exit 1; }
gcc -std=c11 -D_DEFAULT_SOURCE -Wall -Wextra -Werror -I"$TOP/libvdisk/include" example.c -o example \
	"$B/libvdisk.a" -luuid -pthread
./example new.vhdx >out
cat out
grep -q '^read back: hello' out
"$B/vdtool/vdtool" check new.vhdx
! ./example new.vhdx 2>err || { echo 'a second file of that name'; exit 1; }
grep -q 'new.vhdx' err
