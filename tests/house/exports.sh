#!/bin/bash
# SPDX-License-Identifier: MIT
# For each shared library: the functions that its public headers declare, those marked VD_API, those
# that its version script names and those that it exports are the same; what is lent to the upper
# libraries is marked VD_PRIVATE; and each needs only the libraries that it says it does.
set -eu

headers=$TOP/libvdisk/include
fail() { echo "$*"; exit 1; }

# The headers of the upper libraries; all others are the core's.
meta='meta|guest|image|host|query|policy'
compact='compact'
headers_of() {
	case $1 in
	libvdisk) find "$headers/vdisk" -name '*.h' | grep -vE "/($meta|$compact)\.h$" ;;
	libvdisk-meta) find "$headers/vdisk" -name '*.h' | grep -E "/($meta)\.h$" ;;
	libvdisk-compact) find "$headers/vdisk" -name '*.h' | grep -E "/($compact)\.h$" ;;
	esac | sort
}

# The names of a version node like $2 in the script $1.
scripted() {
	awk -v want="$2" '
		/^[A-Z_0-9.]+ \{/ { is_in = $1 ~ want; next }
		is_in && /^\t[a-z_0-9]+;/ { gsub(/[\t;]/, ""); print }' "$1" | sort
}
exported() {
	nm -D --defined-only "$1" | awk -v want="$2" '
		$2 != "A" { split($3, part, "@@"); if (part[2] ~ want) print part[1] }' | sort
}
same() { # WHAT FILE FILE
	diff "$2" "$3" || fail "$1 differ (<, >)"
}

check() { # LIBRARY NODE LEAST NEEDED
	local lib=$1 so=$B/$1.so script=$TOP/libvdisk/$1.map node=$2 needed extra
	local -a own

	mapfile -t own < <(headers_of "$lib")
	[ "${#own[@]}" -gt 0 ] || fail "$lib has no headers"
	# What the compiler takes for declared in these headers.
	printf '#include <%s>\n' "${own[@]#"$headers/"}" |
		gcc -I"$headers" -aux-info "$T/aux" -fsyntax-only -x c -
	printf '%s\n' "${own[@]#"$headers/vdisk/"}" | sed 's|.*|/vdisk/&:|' >"$T/own"
	grep -F -f "$T/own" "$T/aux" | sed -n 's|^/\* [^ ]* \*/ .*[ *]\([a-z_0-9]*\) (.*|\1|p' | sort -u >"$T/declared"
	sed '/define VD_API/d' "${own[@]}" | tr '\n\t' '  ' |
		grep -oE 'VD_API [^;(]*\(' | sed 's/.*[ *]\([a-z_0-9]*\)($/\1/' | sort >"$T/marked"
	scripted "$script" "^$node" >"$T/scripted"
	exported "$so" "^$node" >"$T/exported"
	[ "$(wc -l <"$T/declared")" -ge "$3" ] || fail "$lib: the declarations were not found"
	for list in marked scripted exported; do
		same "$lib: declared and $list" "$T/declared" "$T/$list"
	done

	extra=$(sed '/^local:/,/^}/d' "$script" | grep -n '[*?];' || true)
	[ -z "$extra" ] || fail "$lib: a wildcard in the version script: $extra"
	extra=$(nm -D --defined-only "$so" | awk '$2 != "A" { print $3 }' | grep -vE "@@($node|VDISK_PRIVATE)" || true)
	[ -z "$extra" ] || fail "$lib: names without a version: $extra"
	[ "$(readelf -d "$so" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')" = "$lib.so.0" ] || fail "$lib: SONAME"
	needed=$(readelf -d "$so" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -v '^ld-linux' || true)
	for needed in $needed; do
		[[ " $4 " = *" $needed "* ]] || fail "$lib needs $needed"
	done
	echo "$lib: $(wc -l <"$T/exported") names"
}

check libvdisk VDISK_0 50 'libc.so.6 libuuid.so.1 liburing.so.2'
check libvdisk-meta VDISK_META_0 40 \
	'libc.so.6 libvdisk.so.0 libxml2.so.2 libz.so.1 libsodium.so.23 libutf8proc.so.2 libext2fs.so.2 libcom_err.so.2'
[ ! -e "$TOP/libvdisk/libvdisk-compact.map" ] ||
	check libvdisk-compact VDISK_COMPACT_0 1 'libc.so.6 libvdisk.so.0 libvdisk-meta.so.0'

# What is lent.
sed '/define VD_PRIVATE/d' "$TOP"/libvdisk/base/*.h "$TOP"/libvdisk/io/*.h | tr '\n\t' '  ' |
	grep -oE 'VD_PRIVATE [^;(]*\(' | sed 's/.*[ *]\([a-z_0-9]*\)($/\1/' | sort >"$T/marked"
scripted "$TOP/libvdisk/libvdisk.map" '^VDISK_PRIVATE' >"$T/scripted"
exported "$B/libvdisk.so" '^VDISK_PRIVATE' >"$T/exported"
same 'marked VD_PRIVATE and scripted' "$T/marked" "$T/scripted"
same 'marked VD_PRIVATE and exported' "$T/marked" "$T/exported"
