#!/bin/bash
# SPDX-License-Identifier: MIT
# Sourced by the tests of vdtool. They get the build directory in $B and a scratch folder in $T.
set -eu
V=$B/vdtool/vdtool
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$T"

fail()
{
	local frame where= words=$*
	for ((frame = ${#BASH_LINENO[@]} - 2; frame >= 0; frame--)); do
		where+="${where:+, }${BASH_SOURCE[frame + 1]##*/}:${BASH_LINENO[frame]}"
	done
	if [ -s "$T/out" ]; then
		echo "--- stdout of the last expect" >&2
		head -c 2000 "$T/out" | sed '$a\' >&2 || true
	fi
	if [ -s "$T/err" ]; then
		echo "--- stderr of the last expect" >&2
		head -c 2000 "$T/err" | sed '$a\' >&2 || true
	fi
	if [[ $words = *$'\n'* ]]; then
		echo "$words" >&2
		words=${words%%$'\n'*}
	fi
	echo "FAILED: $words ($where)" >&2
	exit 1
}

# expect CODE COMMAND...: it exits with CODE. What it said is then in $T/out and $T/err.
expect()
{
	local want=$1 got=0
	shift
	"$@" >"$T/out" 2>"$T/err" || got=$?
	[ "$got" = "$want" ] || fail "exit $got instead of $want: $*"
}

# says TEXT / shows TEXT: it stands on stderr / stdout of the last expect.
says()
{
	grep -qF -- "$1" "$T/err" || fail "stderr doesn't say \"$1\""
}
shows()
{
	grep -qF -- "$1" "$T/out" || fail "stdout doesn't show \"$1\""
}
silent()
{
	[ ! -s "$T/err" ] || fail "stderr isn't empty"
}

# json FILTER: jq -e holds for the stdout of the last expect.
json()
{
	jq -e "$1" "$T/out" >/dev/null || fail "JSON: not $1"
}

# No temporary file is left in the folder.
no_leftovers()
{
	local left
	left=$(find "${1:-$T}" -name '.*.tmp*' | head -3)
	[ -z "$left" ] || fail "left behind: $left"
}

# pattern SEED BYTES: numbers that never come again, others for each of 999 seeds; no zeros.
pattern()
{
	seq "$(($1 % 999 * 1000000000))" 999999999999 2>/dev/null | head -c "$2"
}

# wait_for COMMAND...: until it is true, at most 60 s: machines may be busy. That it never was is told
# with what it said last.
wait_for()
{
	local begin=$SECONDS
	while [ $((SECONDS - begin)) -lt 60 ]; do
		if "$@" >/dev/null 2>&1; then
			return 0
		fi
		sleep 0.05
	done
	"$@" >"$T/out" 2>"$T/err" || true
	fail "never became true: $*"
}

need()
{
	local tool
	for tool; do
		command -v "$tool" >/dev/null || {
			echo "skipped: $tool isn't installed"
			exit 77
		}
	done
}
