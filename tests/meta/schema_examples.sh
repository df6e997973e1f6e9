#!/bin/bash
# SPDX-License-Identifier: MIT
# The examples beside the schemas: xmllint (with the schemas as they lie there) and the library (with
# those that it holds) agree on each. Valid ones give values, for every field at least one; invalid
# ones have the one fault that they name.
set -eu

tool=$B/tests/meta/schema_tool
cd "$TOP/metadata-schema"
mapfile -t categories < <("$tool" categories | cut -f1)
[ "${#categories[@]}" -eq 11 ]
category_of() { local name; name=$(basename "$1" .xml); echo "${name%%-*}"; }

for file in examples/valid/*.xml; do
	category=$(category_of "$file")
	if [ "$category" = vendor ]; then
		xmllint --noout "$file"
	else
		xmllint --noout --nonet --schema "$category.xsd" "$file" 2>"$T/xmllint" || { cat "$T/xmllint"; exit 1; }
	fi
	"$tool" validate "$file"
	"$tool" values "$file"
done >"$T/valid"
sed -n 's/^\([a-z0-9.-]*\)=.*/\1/p' "$T/valid" | sort -u >"$T/shown"
"$tool" fields | cut -f1 | sort | diff - "$T/shown" || { echo 'fields (<) that no valid example has'; exit 1; }

for file in examples/invalid/*.xml; do
	grep -q '^<!-- Wrong: .*\. -->$' "$file" || { echo "$file doesn't say what is wrong"; exit 1; }
	if xmllint --noout --nonet --schema "$(category_of "$file").xsd" "$file" 2>"$T/xmllint"; then
		# To xmllint a prefix without its namespace is a remark.
		grep -q 'namespace error' "$T/xmllint" || { echo "$file: xmllint has nothing against it"; exit 1; }
	fi
	if "$tool" validate "$file" >"$T/said"; then
		echo "$file: the library has nothing against it"
		exit 1
	fi
	[ "$(wc -l <"$T/said")" -eq 2 ] || { echo "$file has not just one fault:"; cat "$T/said"; exit 1; }
	grep -q "^$file:\( line \)\?[0-9]*: " "$T/said" || { echo "$file: no line is told"; exit 1; }
done

for category in "${categories[@]}"; do
	[ -e "examples/valid/$category.xml" ] && [ -e "examples/valid/$category-minimal.xml" ]
	n=$(find examples/invalid -name "$category-*.xml" | wc -l)
	[ "$n" -ge 3 ] || { echo "$category: only $n wrong examples"; exit 1; }
done
echo "$(find examples -name '*.xml' | wc -l) examples"
