#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Planted bugs: a build with -DVD_SABOTAGE leaves out one check of a decoder at a time, and the
# target that looks at this decoder has to find out within a minute, beginning with the committed
# corpus. Without a planted bug the same corpus passes.
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
header=$TOP/libvdisk/base/sabotage.h
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export ASAN_OPTIONS=${ASAN_OPTIONS:-allocator_may_return_null=1:detect_stack_use_after_return=1}
n=0 n_missed=0 n_runs=0

# In the header each has a line "VD_SABOTAGE_DECODE_NAME, /* TARGET: what is left out */".
while read -r name target what; do
	corpus=$TOP/tests/fuzz/corpus/$target
	n=$((n + 1))
	if [ $n -eq 1 ] || [ ! -e "$scratch/$target.sound" ]; then
		if ! "$B/fuzz-planted/fuzz-$target" -runs=0 "$corpus" >"$scratch/log" 2>&1; then
			tail -n 20 "$scratch/log"
			echo "planted: $target fails without a planted bug"
			exit 1
		fi
		touch "$scratch/$target.sound"
	fi
	mkdir -p "$scratch/new"
	start=$EPOCHSECONDS
	if VD_PLANT=$n "$B/fuzz-planted/fuzz-$target" -max_total_time=60 -max_len=4096 -timeout=25 \
		-use_value_profile=1 -print_final_stats=1 -artifact_prefix="$scratch/" "$scratch/new" "$corpus" \
		>"$scratch/log" 2>&1; then
		printf 'planted: %-16s %-9s NOT FOUND in 60 s: %s\n' "$name" "$target" "$what"
		n_missed=$((n_missed + 1))
	else
		how=$(grep -m 1 -E "doesn't hold|ERROR: |runtime error: " "$scratch/log" | cut -c 1-100)
		printf 'planted: %-16s %-9s found in %2d s: %s (%s)\n' "$name" "$target" \
			$((EPOCHSECONDS - start)) "$what" "${how##*/}"
	fi
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$scratch/log" | tail -n 1)
	n_runs=$((n_runs + ${runs:-0}))
	rm -rf "$scratch/new"
done < <(sed -n 's|^\tVD_SABOTAGE_DECODE_\([A-Z0-9_]*\), */\* \([a-z0-9]*\): \(.*\) \*/|\1 \2 \3|p' "$header")
[ "$n" -gt 0 ] || { echo 'planted: the list in sabotage.h is empty'; exit 1; }
echo "planted: $((n - n_missed)) of $n found"
printf 'counted by fuzz-planted\n  %10d  planted bugs of the decoders found\n  %10d  planted bugs that survived\n  %10d  executions of fuzz targets\n' \
	$((n - n_missed)) $n_missed $n_runs >>"${VD_COUNTS:-/dev/null}"
[ "$n_missed" -eq 0 ]
