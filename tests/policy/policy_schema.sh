#!/bin/bash
# SPDX-License-Identifier: MIT
# The examples of rules: xmllint with policy.xsd and the library's own reader agree on each. What
# only the library can judge (conditions, names of rules) is in a folder of its own, and told by line.
. "$(dirname "$0")/../support/cli.sh"
need xmllint

schema=$TOP/metadata-schema/policy.xsd
examples=$TOP/metadata-schema/policy
xsd() { xmllint --noout --nonet --schema "$schema" "$1"; }
ours()
{
	rm -rf rules
	mkdir rules
	cp "$1" rules/
	"$V" policy list --policy rules
}
n=0
for file in "$examples"/valid/*.xml; do
	expect 0 xsd "$file"
	expect 0 ours "$file"
	n=$((n + 1))
done
for file in "$examples"/invalid/*.xml; do
	grep -q '^<!-- Wrong: .*\. -->$' "$file" || fail "$file doesn't say what is wrong"
	[ "$(xsd "$file" >/dev/null 2>&1 || echo no)" = no ] || fail "$file: xmllint has nothing against it"
	expect 1 ours "$file"
	grep -q "rules/$(basename "$file"):[0-9]*: " err || fail "$file: no line is told"
	n=$((n + 1))
done
for file in "$examples"/conditions/*.xml; do
	expect 0 xsd "$file"
	expect 1 ours "$file"
	line=$(sed -n 's/^<!-- Wrong, but not to the schema: .*line \([0-9]*\).* -->$/\1/p' "$file")
	grep -q "rules/$(basename "$file"):${line:-[0-9]*}: " err || fail "$file: not told on line $line"
	n=$((n + 1))
done
[ "$n" -ge 35 ] || fail "only $n examples"
echo "count: rules that schema and library agree on $n"
