#!/bin/bash
# SPDX-License-Identifier: MIT
# The table of rules in docs/check.md is what the code checks: names, sections and severities; and
# each rule has a wrong image that breaks it (tests/support/vhdxwrong.c).
set -eu

cd "$TOP"
bad=0
complain() { echo "$1"; bad=1; }
table=docs/check.md
wrong=tests/support/vhdxwrong.c

# "rule section" of every report in the code. Sections are texts, macros, or the known item's.
for file in libvdisk/format/vhdx/vhdx_check*.c libvdisk/disk/disk_check.c; do
	tr -s ' \t\n' ' ' <"$file" |
		grep -oE '"(vhdx|parent)-[a-z0-9-]+", ("MS-VHDX [0-9.]+"|known->section|[A-Z]+)' |
		while IFS=, read -r rule section; do
			section=${section# }
			case $section in
			\"*) section=${section#\"MS-VHDX } section=${section%\"} ;;
			known*) section=2.6.2.x ;;
			*) section=$(sed -n "s/^#define $section  *\"MS-VHDX \(.*\)\"/\1/p" "$file") ;;
			esac
			echo "${rule//\"/} $section"
		done
done | sort -u >"$T/code"
[ "$(wc -l <"$T/code")" -gt 80 ]
# Every name in the code is in such a place, but the one that disk_check.c puts in later.
cat libvdisk/format/vhdx/vhdx_check*.c libvdisk/disk/disk_check.c |
	grep -oE '"(vhdx|parent)-[a-z0-9-]+"' | tr -d '"' | sort -u >"$T/names"
echo "parent-match 2.6.2.6.3" | sort -u -o "$T/code" "$T/code" -
cut -d' ' -f1 "$T/code" | sort -u | diff "$T/names" - || complain "rules without a section"

# "rule section" and "rule severity" of the table.
sed -n 's/^| `\([a-z0-9-]*\)` | \([0-9.x, ]*\) | \([a-z, ]*\) | .*/\1|\2|\3/p' $table >"$T/table"
while IFS='|' read -r rule sections severities; do
	for section in ${sections//,/ }; do echo "$rule $section" >&8; done
	for severity in ${severities//,/ }; do echo "$rule $severity" >&9; done
done <"$T/table" 8>"$T/sections" 9>"$T/severities"
sort -u "$T/sections" | diff "$T/code" - || complain "$table and the code differ in rules or sections"
twice=$(cut -d'|' -f1 "$T/table" | sort | uniq -d)
[ -z "$twice" ] || complain "$table: rules that occur twice: $twice"
[ "$(grep -c '^| `' $table)" = "$(wc -l <"$T/table")" ] || complain "$table: rows that can't be read"

# What the wrong images break, and how badly.
grep -oE '"vhdx-[a-z0-9-]+", [EWN],' $wrong | tr -d '",' |
	sed -e 's/ E$/ error/' -e 's/ W$/ warning/' -e 's/ N$/ note/' | sort -u >"$T/tested"
[ "$(wc -l <"$T/tested")" -gt 80 ]
sort -u "$T/severities" >"$T/told"
untold=$(comm -13 "$T/told" "$T/tested")
[ -z "$untold" ] || complain "$table has another severity: $untold"
# Not by a wrong image: chains, more items than one holds (both tested elsewhere), and what catches
# whatever the other rules miss, which nothing is known to reach.
sort >"$T/elsewhere" <<'END'
parent-match
parent-open
vhdx-item-user-count
vhdx-metadata
vhdx-regions
END
untested=$(cut -d' ' -f1 "$T/tested" | sort -u - "$T/elsewhere" | comm -23 "$T/names" -)
[ -z "$untested" ] || complain "$wrong has no image that breaks: $untested"
exit "$bad"
