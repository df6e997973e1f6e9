#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Which lines of the decoders the committed corpora reach, by clang's coverage: a table by file,
# and an error if it is less than 90 % of all.
set -eu
TOP=$(cd "$(dirname "$0")/../.." && pwd)
cd "$TOP"
program=$B/coverage/fuzz_replay
decoders='libvdisk/format/vhdx/vhdx_decode*.c libvdisk/format/vhdx/vhdx_read.c
	libvdisk/format/vhdx/vhdx_log_scan.c libvdisk/format/vhdx/vhdx_replay*.c
	libvdisk/format/vhdx/vhdx_view.c libvdisk/base/utf16.c'

rm -f "$B"/coverage/*.profraw
for target in $("$program" --list); do
	LLVM_PROFILE_FILE=$B/coverage/$target.profraw "$program" "$target" "tests/fuzz/corpus/$target"
done
llvm-profdata-14 merge -o "$B/coverage/all.profdata" "$B"/coverage/*.profraw
# shellcheck disable=SC2086
llvm-cov-14 show "$program" -instr-profile="$B/coverage/all.profdata" $decoders \
	>"$B/coverage/lines.txt" 2>/dev/null
# shellcheck disable=SC2086
llvm-cov-14 export "$program" -instr-profile="$B/coverage/all.profdata" -summary-only $decoders |
	jq -r --arg top "$TOP/" '
		.data[0] | (.files[] | [(.filename | ltrimstr($top)), .summary.lines]),
			["all decoders", .totals.lines]
		| "\(.[0])\t\(.[1].covered)\t\(.[1].count)\t\(.[1].percent)"' |
	awk -F'\t' '
		{ printf "coverage: %-44s %5d of %5d lines  %5.1f %%\n", $1, $2, $3, $4; all = $4 }
		END { if (all < 90) { print "coverage: less than 90 %"; exit 1 } }'
echo "coverage: line by line in $B/coverage/lines.txt"
