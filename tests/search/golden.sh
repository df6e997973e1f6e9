#!/bin/bash
# SPDX-License-Identifier: MIT
# What golden*.txt say of 1,000 images is what is found: by the library, with facts as they are stored
# and derived anew; by the third implementation; and by vdtool looking into the images.
. "$TOP/tests/support/searching.sh"

make_images
make_golden
n_pairs=$(grep -vc '^error' "$T/expected")
n_wrong=$(grep -c '^error' "$T/expected")
[ "$n_pairs" -ge 300 ] || fail "only $n_pairs pairs of query and set"
[ "$n_wrong" -ge 40 ] || fail "only $n_wrong wrong queries"
# Most sets have to be hard to hit by chance.
awk '/^error/ { next } { if (NF > 0 && NF < 1000) n++ } END { exit n < 0.8 * NR - 60 }' "$T/expected" ||
	fail "too many sets are empty, or everything"

"$B/tests/search/naive" "$T" "$NOW" <"$T/queries" >"$T/third"
"$B/tests/search/ask" "$T" "$NOW" <"$T/queries" >"$T/stored"
"$B/tests/search/ask" -d "$T" "$NOW" <"$T/queries" >"$T/derived"
for who in third stored derived; do
	same "$who" || fail "$who: not what golden.txt says"
done

# Whole programs take longer: every 72nd query; with VD_LONG=1 every ninth, others each time.
every=72 line=0
[ -z "${VD_LONG:-}" ] || every=9 line=$((RANDOM % 9))
while IFS= read -r -u 3 query && IFS= read -r -u 4 want; do
	line=$((line + 1))
	[ $((line % every)) = 0 ] || continue
	is_timeless "$query" || continue
	ask_tool "$query" "$T/images"
	echo "$query" >>"$T/asked"
	echo "$want" >>"$T/wanted"
done 3<"$T/queries" 4<"$T/expected"
n_asked=$(wc -l <"$T/asked")
compare_answers "$T/asked" "$T/wanted" || fail "not what golden.txt says"
[ "$n_asked" -ge $((540 / every)) ] || fail "asked vdtool only $n_asked queries"

echo "count: golden queries $n_pairs"
echo "count: wrong queries $n_wrong"
echo "count: golden queries asked of vdtool search $n_asked"
