# SPDX-License-Identifier: MIT
# Sourced by run: searching among many small images with 20 facts each; 5,000, or 100,000 with
# VD_LONG=1 (which take 8 GB).

# many/dNNN/iNN.vhdx, $search_n of them; the first hundredth has the tag "rare" too.
make_many() {
	local i folder
	search_n=5000
	[ -z "${VD_LONG:-}" ] || search_n=100000
	say "making $search_n images ..."
	"$meta" make many.vhdx >&2
	cp --sparse=always many.vhdx rare.vhdx
	"$tool" tag -q rare.vhdx +rare
	for ((i = 0; i < search_n; i += 100)); do
		folder=many/d$(printf %04d $((i / 100)))
		mkdir -p "$folder"
		cp --sparse=always rare.vhdx "$folder/i00.vhdx"
		seq -f "$folder/i%02g.vhdx" 1 99 | xargs -n 1 cp --sparse=always many.vhdx
	done
}

# search_row WORK RESULT WORDS...: median time and memory of a search that finds so many; at least
# 10,000 images a second and at most 64 MiB.
search_row() {
	local work=$1 result=$2 i times='' out
	shift 2
	for ((i = 0; i < rounds; i++)); do
		times+=" $(seconds search_counted "$result" "$@")"
	done
	out=$(awk -v t="$(median "$times")" -v n="$search_n" -v cost="$(cat cost)" 'BEGIN {
		split(cost, c, " ")
		r = n / t
		met = (r >= 10000 && c[1] <= 65536) ? "yes" : "NO"
		printf "%.3f s (%.0f images/s), %.0f us of CPU each, %.1f MiB|-|%.2f|>= 10,000/s, <= 64 MiB|%s\n", t, r, (c[2] + c[3]) / n * 1e6, c[1] / 1024, r / 10000, met }')
	echo "$work|$out"
	echo "$work: vdtool search --count ${*@Q}" >>commands
}
search_counted() {
	local result=$1
	shift
	if [ -x /usr/bin/time ]; then
		/usr/bin/time -f "%M %U %S" -o cost "$tool" search -q --count "$@" >counted
	else
		echo 0 0 0 >cost
		"$tool" search -q --count "$@" >counted
	fi
	[ "$(cat counted)" = "$result" ]
}

rows_search() {
	make_many
	search_row "search $search_n images directly, one in a hundred fits" $((search_n / 100)) \
		'tag:rare AND os.id:debian12' many
	search_row "the same, all fit" "$search_n" 'hardware.memory>=2G expires>now' many
	search_row "the same, words in any document" "$search_n" '"web server" nginx' many
	if [ "$(type -t rows_catalog)" = function ]; then
		rows_catalog
	fi
	rm -rf many many.vhdx rare.vhdx
}
