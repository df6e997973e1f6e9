#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Which lines of the decoders the committed corpora reach, by clang's coverage: a table by file,
# and an error if it is less than 90 % of those of VHDX, 80 % of those of metadata and guests' disks.
set -eu
TOP=$(cd "$(dirname "$0")/../.." && pwd)
cd "$TOP"
program=$B/coverage/fuzz_replay
vhdx='libvdisk/format/vhdx/vhdx_decode*.c libvdisk/format/vhdx/vhdx_read.c
	libvdisk/format/vhdx/vhdx_log_scan.c libvdisk/format/vhdx/vhdx_replay*.c
	libvdisk/format/vhdx/vhdx_view.c libvdisk/base/utf16.c'
# Some of these files write what they read; that counts here, too.
others='libvdisk/meta/meta_envelope.c libvdisk/meta/meta_facts.c libvdisk/meta/meta_chain.c
	libvdisk/image/fileindex_read.c libvdisk/guest/partition_*.c libvdisk/guest/probe_*.c
	libvdisk/guest/fat_*.c libvdisk/guest/fs_fat.c libvdisk/guest/fs_exfat.c
	libvdisk/xml/doc_guard.c libvdisk/xml/doc_fields.c libvdisk/xml/field_*.c'

rm -f "$B"/coverage/*.profraw
for target in $("$program" --list); do
	LLVM_PROFILE_FILE=$B/coverage/$target.profraw "$program" "$target" "tests/fuzz/corpus/$target"
done
llvm-profdata-14 merge -o "$B/coverage/all.profdata" "$B"/coverage/*.profraw
# shellcheck disable=SC2086
llvm-cov-14 show "$program" -instr-profile="$B/coverage/all.profdata" $vhdx $others \
	>"$B/coverage/lines.txt" 2>/dev/null

# count WHAT LEAST FILE...
count()
{
	local what=$1 least=$2

	shift 2
	llvm-cov-14 export "$program" -instr-profile="$B/coverage/all.profdata" -summary-only "$@" |
		jq -r --arg top "$TOP/" --arg all "all of $what" '
			.data[0] | (.files[] | [(.filename | ltrimstr($top)), .summary.lines]),
				[$all, .totals.lines]
			| "\(.[0])\t\(.[1].covered)\t\(.[1].count)\t\(.[1].percent)"' |
		awk -F'\t' -v counts="${VD_COUNTS:-/dev/null}" -v what="$what" -v least="$least" '
			{ printf "coverage: %-44s %5d of %5d lines  %5.1f %%\n", $1, $2, $3, $4; all = $4 }
			END {
				printf "counted by coverage\n  %10.1f  percent of the lines of the decoders of %s\n",
					all, what >> counts
				if (all < least) { print "coverage: less than " least " %"; exit 1 }
			}'
}
# shellcheck disable=SC2086
count VHDX 90 $vhdx
# shellcheck disable=SC2086
count "metadata and guests" 80 $others
echo "coverage: line by line in $B/coverage/lines.txt"
