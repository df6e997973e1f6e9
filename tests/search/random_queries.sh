#!/bin/bash
# SPDX-License-Identifier: MIT
# Random queries over 1,000 images: the library and the third implementation give the same answers, and
# a catalog to some of them. VD_LONG=1: 20,000, others each time. VD_SEED=N asks those of a
# run that failed again.
. "$TOP/tests/support/searching.sh"

n_queries=400 n_catalog=60
if [ "${VD_LONG:-}" ]; then
	n_queries=20000 n_catalog=2000
fi
seed=${VD_SEED:-${VD_LONG:+$((RANDOM * 32768 + RANDOM))}}
seed=${seed:-1}
echo "seed $seed (VD_SEED=$seed asks the same again)"
make_images

# first_difference FILE FILE: the number of the first line that isn't equal, if there is one.
first_difference()
{
	paste -d'\n' "$1" "$2" | awk 'NR % 2 { a = $0 } NR % 2 == 0 && $0 != a { print NR / 2; exit }'
}

# The smallest part of query number $1 that is still answered differently, and how.
explain()
{
	local at

	"$B/tests/search/random_query" "$T" "$seed" "$n_queries" "$1" |
		awk '{ print length($0) "\t" $0 }' | sort -n | cut -f2- >"$T/parts"
	"$B/tests/search/ask" "$T" "$NOW" <"$T/parts" >"$T/parts.ask"
	"$B/tests/search/naive" "$T" "$NOW" <"$T/parts" >"$T/parts.naive"
	at=$(first_difference "$T/parts.ask" "$T/parts.naive")
	echo "seed $seed, query $1, smallest part: $(sed -n "${at:-1}p" "$T/parts")"
	echo "library: $(sed -n "${at:-1}p" "$T/parts.ask" | cut -c1-200)"
	echo "third:   $(sed -n "${at:-1}p" "$T/parts.naive" | cut -c1-200)"
}

"$B/tests/search/random_query" "$T" "$seed" "$n_queries" >"$T/queries"
"$B/tests/search/ask" "$T" "$NOW" <"$T/queries" >"$T/stored" &
"$B/tests/search/naive" "$T" "$NOW" <"$T/queries" >"$T/third"
wait $! || fail "the library can't answer"
at=$(first_difference "$T/stored" "$T/third")
if [ -n "$at" ]; then
	explain "$at" >&2
	fail "two answers"
fi
# Most are to be neither refused nor the same for all images.
awk '/^error/ { wrong++; next } NF > 0 && NF < 1000 { n++ }
	END { exit !(n > NR / 2 && wrong < NR / 20) }' "$T/third" || fail "random queries that say little"

"$V" catalog sync --catalog "$T/catalog" --progress=none "$T/images" >"$T/out" 2>"$T/err" ||
	fail "catalog sync"
n_asked=0
while IFS= read -r -u 3 query && IFS= read -r -u 4 want; do
	[ "$n_asked" -lt "$n_catalog" ] || break
	is_timeless "$query" || continue
	ask_tool "$query" --catalog "$T/catalog"
	echo "$query" >>"$T/asked"
	echo "$want" >>"$T/wanted"
	n_asked=$((n_asked + 1))
done 3<"$T/queries" 4<"$T/third"
compare_answers "$T/asked" "$T/wanted" || fail "seed $seed: a catalog answers otherwise"

echo "count: random queries $n_queries"
echo "count: random queries asked of a catalog $n_asked"
