#!/bin/bash
# SPDX-License-Identifier: MIT
# Debian's versions come in the order in which dpkg has them: the corner cases of the policy, each
# with each other, and random ones.
set -eu
if ! command -v dpkg >/dev/null; then
	echo "dpkg isn't there"
	exit 77
fi

corners="1.0 1.00 1.0-0 1.0-1 1.0-1~bpo12+1 1.0~rc1 1.0~~ 1.0~ 1.0+b1 1.0a 1.0a1 1.0A 1.0.1 1.10 1.9
	0:1.0 1:0.1 2:0 1.0-1.1 1.0-1-1 1.2.3-4+deb12u1 1.2.3-4+deb12u10 1.0+ 1.0.~ 3.0.11-1~deb12u2
	3.0.11-1 00001 1 1.18446744073709551616 1.18446744073709551617 1~a 1-~"
for a in $corners; do
	for b in $corners; do
		echo "$a $b"
	done
done | awk '$1 <= $2' >pairs
"$B/tests/search/version_order" --pairs "${VD_PAIRS:-200}" >>pairs
"$B/tests/search/version_order" deb <pairs >orders
[ "$(wc -l <orders)" = "$(wc -l <pairs)" ] || { echo "an order isn't its own opposite"; exit 1; }

while read -r a op b; do
	if ! dpkg --compare-versions "$a" "$op" "$b" 2>why; then
		echo "$a $op $b, dpkg says otherwise: $(cat why)"
		exit 1
	fi
done <orders
# It could fail.
if dpkg --compare-versions 1.0 lt 1.0~rc1; then
	echo "dpkg agrees with everything"
	exit 1
fi
echo "count: pairs of versions as dpkg orders them $(wc -l <orders)"
