#!/bin/bash
# SPDX-License-Identifier: MIT
# A catalog of the 1,000 images answers what golden.txt says, query by query: every other one, with
# VD_LONG=1 all.
. "$TOP/tests/support/searching.sh"

make_images
make_golden
"$V" catalog sync --catalog "$T/catalog" --progress=none "$T/images" >"$T/out" 2>"$T/err" ||
	fail "catalog sync"
line=0
while IFS= read -r -u 3 query && IFS= read -r -u 4 want; do
	line=$((line + 1))
	[ "${VD_LONG:-}" ] || [ $((line % 2)) = 0 ] || continue
	is_timeless "$query" || continue
	ask_tool "$query" --catalog "$T/catalog"
	echo "$query" >>"$T/asked"
	echo "$want" >>"$T/wanted"
done 3<"$T/queries" 4<"$T/expected"
n=$(wc -l <"$T/asked")
[ "$n" -ge 300 ] || fail "only $n queries"
compare_answers "$T/asked" "$T/wanted" || fail "not what golden.txt says"
echo "count: golden queries asked of a catalog $n"
