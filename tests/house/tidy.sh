#!/bin/bash
# SPDX-License-Identifier: MIT
# Small rules of the house: licence lines, file names that occur once, formatting, file length.
set -eu

cd "$TOP"
bad=0
complain() { echo "$1"; bad=1; }

mapfile -t sources < <(find libvdisk compactor control vdtool vdfuse tests -name '*.[ch]' | sort)
mapfile -t scripts < <(find tests .ci -type f ! -name '*.[ch]' ! -path '*/data/*' ! -path '*/corpus/*' ! -name '*.md' | sort)
[ "${#sources[@]}" -gt 20 ]
for f in "${sources[@]}" "${scripts[@]}" Makefile libvdisk/*.map; do
	head -n 2 "$f" | grep -q 'SPDX-License-Identifier: MIT' || complain "$f: no SPDX line"
done

# Public headers are spelled with their folder (<vdisk/disk.h>): they may share a name; and what a
# room is started by is called run.
twice=$(printf '%s\n' "${sources[@]}" "${scripts[@]}" | grep -v -e "^libvdisk/include/" -e "/run$" |
	sed 's|.*/||' | sort | uniq -d)
[ -z "$twice" ] || complain "file names that occur twice: $twice"

for f in "${sources[@]}" "${scripts[@]}"; do
	lines=$(wc -l <"$f")
	[ "$lines" -le 600 ] || complain "$f: $lines lines: split it by noun"
	! grep -n '[[:blank:]]$' "$f" || complain "$f: blanks at the end of a line"
done

# Under set -e a line "! command" never ends the script: it needs its "|| ...".
if grep -nE '^[[:blank:]]*! [^|]*$' tests/*/*.sh; then
	complain "these lines can't fail"
fi

clang-format-14 --dry-run -Werror "${sources[@]}" 2>"$T/format" ||
	complain "not as clang-format has it (make format): $(sed -n 's/:[0-9:]* error.*//p' "$T/format" | sort -u | xargs)"
exit "$bad"
