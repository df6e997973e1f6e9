#!/bin/bash
# SPDX-License-Identifier: MIT
# Sourced by the tests of searches: the images, the lists, and what golden*.txt say of them.
. "$TOP/tests/support/cli.sh"
export NOW=1782864000 # CORPUS_NOW

# The images and their lists, in $T.
make_images()
{
	need jq
	"$B/tests/search/generate_images" "$T"
	"$V" fields --json | jq -r '.[0].fields[] | [.name, .type, .choices // ""] | @tsv' |
		grep -v '^host\.\|^action' >"$T/fields" # these are for policies
}

# golden*.txt as $T/queries and $T/expected, line by line.
make_golden()
{
	grep -hv '^#' "$TOP"/tests/search/golden*.txt >"$T/golden"
	awk '{ n = index($0, " => "); print substr($0, 1, n - 1) }' "$T/golden" >"$T/queries"
	awk '{ n = index($0, " => "); print substr($0, n + 4) }' "$T/golden" >"$T/conditions"
	{
		cat "$TOP/tests/search/golden.awk"
		echo 'BEGIN {'
		awk '/^error/ { printf "print \"%s\"\n", $0; next }
			{ printf "s = \"\"; for (i = 0; i < 1000; i++) { facts(); if (%s) s = s \" \" i }; print s\n", $0 }' \
			"$T/conditions"
		echo '}'
	} >"$T/program.awk"
	awk -f "$T/program.awk" >"$T/expected"
}

# same NAME: what NAME answered ($T/NAME) is what was expected, query by query.
same()
{
	paste -d'\n' "$T/queries" "$T/conditions" "$T/expected" "$T/$1" | awk -v who="$1" '
		NR % 4 == 1 { query = $0 }
		NR % 4 == 2 { why = $0 }
		NR % 4 == 3 { want = $0 }
		NR % 4 == 0 && $0 != want {
			printf "%s: %s\n  should fit where %s\n", who, query, why
			n = split(want, w); m = split($0, g)
			delete in_w; delete in_g
			for (k = 1; k <= n; k++) in_w[w[k]] = 1
			for (k = 1; k <= m; k++) in_g[g[k]] = 1
			if (want ~ /error/ || $0 ~ /error/) printf "  wanted \"%.60s\", got \"%.60s\"\n", want, $0
			else {
				printf "  missing:"; c = 0
				for (k = 1; k <= n; k++) if (!(w[k] in in_g) && c++ < 8) printf " %s", w[k]
				printf "\n  too many:"; c = 0
				for (k = 1; k <= m; k++) if (!(g[k] in in_w) && c++ < 8) printf " %s", g[k]
				printf "\n"
			}
			n_wrong++
		}
		END { exit n_wrong > 0 }'
}

# Queries that mean the same at any time: vdtool always asks as of now.
is_timeless()
{
	case $1 in
	*now* | *[:=\<\>\"\ ]+[0-9]*) return 1 ;;
	esac
}

# ask_tool QUERY OPTION...: what vdtool search finds goes to $T/found, with a mark behind it.
ask_tool()
{
	local query=$1 rc=0
	shift
	query=${query//␊/$'\n'}
	"$V" search "${query//␉/$'\t'}" "$@" --print0 >>"$T/found" 2>"$T/err" || rc=$?
	printf '=%d\0' "$rc" >>"$T/found"
}

# What was asked, a line a query as naive and ask print them: numbers of images, or "error".
answers()
{
	# A line feed in a path is \n in the list.
	tr '\n\0' '\001\n' <"$T/found" | awk '
		NR == FNR { gsub(/\\n/, "\001"); number[$0] = NR - 1; n_images = NR; next }
		/^=/ {
			line = ""
			for (k = 0; k < n_images; k++)
				if (k in is_found)
					line = line " " k
			if ($0 == "=2")
				line = "error"
			else if ($0 != (line == "" ? "=6" : "=0"))
				line = "exit " $0 ":" line
			print line
			split("", is_found)
			next
		}
		!($0 in number) { print "unknown path: " $0; exit 1 }
		{ is_found[number[$0]] = 1 }' "$T/paths" -
}

# compare_answers QUERIES EXPECTED: what was asked by ask_tool is what is expected; else it is told.
compare_answers()
{
	answers | paste -d'\n' "$1" "$2" - | awk '
		NR % 3 == 1 { query = $0 }
		NR % 3 == 2 { want = $0; sub(/^error.*/, "error", want) }
		NR % 3 == 0 && $0 != want {
			printf "vdtool search: %s\n  got    \"%.100s\"\n  not    \"%.100s\"\n", query, $0, want
			n_wrong++
		}
		END { exit n_wrong > 0 }'
}
