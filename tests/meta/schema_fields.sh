#!/bin/bash
# SPDX-License-Identifier: MIT
# The vocabulary that is built in is what the schemas declare: looked up in them a second time, by
# XPath. And the program that builds it in doesn't let a careless schema pass.
set -eu

tool=$B/tests/meta/schema_tool
make_tables=$B/metadata-schema/schema_tables
cd "$TOP/metadata-schema"
"$tool" fields >"$T/fields"
"$tool" categories | cut -f1 >"$T/categories"

# What a path finds in the schema of category $1, without the names of the attributes.
ask() { xmllint --xpath "$2" "$1" 2>/dev/null | sed -e 's/^ *[A-Za-z:-]*="//' -e 's/"$//' -e 's/&lt;/</g' -e 's/&amp;/\&/g' || true; }
field='@*[local-name()="field"]'
named="//*[$field]"

declare -A simples
for type in $(ask types.xsd "//@*[local-name()=\"type\" and namespace-uri()!=\"\"]" | sort -u); do
	simples[$type]=$(ask types.xsd "//*[local-name()=\"simpleType\"][@*[local-name()=\"type\"]=\"$type\"]/@name" | xargs)
done
[ "${#simples[@]}" -eq 9 ]

while read -r category; do
	grep -q "	$category	" "$T/fields" || { echo "$category has no fields"; exit 1; }
	ask "$category.xsd" "$named/$field" >"$T/names"
	ask "$category.xsd" "$named/@*[local-name()=\"summary\"]" >"$T/summaries"
	paste "$T/names" "$T/summaries" | sort >"$T/declared"
	awk -F'\t' -v c="$category" '$3 == c { print $1 "\t" $7 }' "$T/fields" | sort | diff "$T/declared" - ||
		{ echo "$category: names and summaries of the schema (<) and of the library (>)"; exit 1; }
	ask "$category.xsd" "//*[$field][ancestor-or-self::*[local-name()=\"element\"][@maxOccurs]]/$field" | sort >"$T/declared"
	awk -F'\t' -v c="$category" '$3 == c && $4 == "list" { print $1 }' "$T/fields" | sort | diff "$T/declared" - ||
		{ echo "$category: lists of the schema (<) and of the library (>)"; exit 1; }
	ask "$category.xsd" "//*[@*[local-name()=\"derived\"]=\"true\"]/$field" | sort >"$T/declared"
	awk -F'\t' -v c="$category" '$3 == c && $5 == "derived" { print $1 }' "$T/fields" | sort | diff "$T/declared" - ||
		{ echo "$category: derived fields"; exit 1; }
	# Types: by the names of the simple types that have them.
	for type in "${!simples[@]}"; do
		condition="*[local-name()=\"simpleType\"]/@*[namespace-uri()!=\"\"]=\"$type\""
		for simple in ${simples[$type]} $(ask "$category.xsd" "/*/*[local-name()=\"simpleType\"][@*[local-name()=\"type\"]=\"$type\"]/@name"); do
			condition="$condition or @type=\"$simple\" or @type=\"$simple-element\" or *//*[local-name()=\"extension\"]/@base=\"$simple\""
		done
		ask "$category.xsd" "//*[$field][$condition]/$field" | sort >"$T/declared"
		awk -F'\t' -v c="$category" -v t="$type" '$3 == c && $2 == t { print $1 }' "$T/fields" | sort | diff "$T/declared" - ||
			{ echo "$category: fields of type $type"; exit 1; }
	done
done <"$T/categories"
grep -q '^hardware.firmware	word	hardware	list	set	bios|efi	' "$T/fields"
ls -- *.xsd | sed 's/\.xsd$//' | grep -vx 'types\|policy' | sort | diff - <(sort "$T/categories") || { echo 'a schema without its category'; exit 1; }

# Category and namespace.
while IFS=$'\t' read -r category space _; do
	[ "$space" = "$(ask "$category.xsd" '/*/@targetNamespace')" ]
done < <("$tool" categories)

refuses() { # WORDS SED-SCRIPT
	rm -rf "$T/broken"
	mkdir "$T/broken"
	cp types.xsd "$T/broken"
	sed "$2" hardware.xsd >"$T/broken/hardware.xsd"
	if cmp -s hardware.xsd "$T/broken/hardware.xsd"; then echo "\"$2\" changes nothing"; exit 1; fi
	if "$make_tables" "$T/broken/hardware.xsd" >"$T/tables" 2>"$T/said"; then
		echo "a schema passed though: $1"
		exit 1
	fi
	grep -q "$1" "$T/said" || { cat "$T/said"; echo "not said: $1"; exit 1; }
}
"$make_tables" hardware.xsd >/dev/null
refuses 'has no f:summary' 's/f:summary="name of this alternative"//'
refuses 'is declared twice' 's/hardware.gpu.count/hardware.memory/'
refuses 'this value has no field' 's/ f:field="hardware.machine"//'
refuses 'not a name' 's/f:field="hardware.arch"/f:field="Hardware Arch"/'
refuses 'no simpleType called' 's/type="count"/type="counts"/'
refuses 'too much for the tables' 's/<xs:sequence>/<xs:choice>/; s,</xs:sequence>,</xs:choice>,'
refuses 'maxOccurs but unbounded' 's/maxOccurs="unbounded"/maxOccurs="3"/'
refuses 'no root element with f:scope' 's/f:scope="disk"//'
refuses 'a word without choices' 's/<xs:enumeration value="[a-z]*"\/>//'
echo "$(wc -l <"$T/fields") fields"
