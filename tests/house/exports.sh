#!/bin/bash
# SPDX-License-Identifier: MIT
# The functions that public headers declare, those marked VD_API, those that the version script
# names and those that the shared library exports are the same; it needs only libc and libuuid.
set -eu

so=$B/libvdisk.so
headers=$TOP/libvdisk/include
script=$TOP/libvdisk/libvdisk.map

# What the compiler takes for declared in a header below vdisk/.
find "$headers/vdisk" -name '*.h' -printf '#include <vdisk/%P>\n' |
	gcc -I"$headers" -aux-info "$T/aux" -fsyntax-only -x c -
sed -n 's|^/\* [^ ]*/vdisk/[^ ]* \*/ .*[ *]\([a-z_0-9]*\) (.*|\1|p' "$T/aux" | sort -u >"$T/declared"
# The name behind each VD_API.
find "$headers/vdisk" -name '*.h' -exec cat {} + | sed '/define VD_API/d' | tr '\n\t' '  ' |
	grep -oE 'VD_API [^;(]*\(' | sed 's/.*[ *]\([a-z_0-9]*\)($/\1/' | sort >"$T/marked"
sed -n 's/^\t\([^*]*\);$/\1/p' "$script" >"$T/in_script"
sort "$T/in_script" >"$T/scripted"
nm -D --defined-only --without-symbol-versions "$so" | awk '$2 != "A" { print $3 }' | sort >"$T/exported"

[ "$(wc -l <"$T/declared")" -gt 50 ] || { echo 'the declarations were not found'; exit 1; }
! grep -n '[*?]' "$script" | grep -v '^[0-9]*:\( \*\|/\*\|	\*;$\)' || { echo 'a wildcard in the version script'; exit 1; }
for list in marked scripted exported; do
	diff "$T/declared" "$T/$list" || { echo "declared (<) and $list (>) differ"; exit 1; }
done
diff <(nm -D --defined-only "$so" | awk '$2 != "A" { print $3 }' | grep -v '@@VDISK_[0-9.]*$') /dev/null ||
	{ echo 'a name without a version'; exit 1; }

[ "$(readelf -d "$so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')" = libvdisk.so.0 ]
needed=$(readelf -d "$so" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort | xargs)
case $needed in
'libc.so.6 libuuid.so.1' | 'ld-linux-'*' libc.so.6 libuuid.so.1') ;;
*) echo "libvdisk.so needs $needed" && exit 1 ;;
esac
echo "$(wc -l <"$T/exported") names"
