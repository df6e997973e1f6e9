#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Run fuzz targets, one after the other: fuzz.sh TARGET...
#
# Each begins with its committed corpus, puts what it finds into $B/fuzz-found/TARGET (kept from
# run to run) and prints how many inputs it tried. An input that breaks a property is left as
# $B/fuzz-found/TARGET.crash-*; the first one ends the run.
set -eu
TOP=$(cd "$(dirname "$0")/../.." && pwd)
found=$B/fuzz-found
export ASAN_OPTIONS=${ASAN_OPTIONS:-allocator_may_return_null=1:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}

total=0
for target in "$@"; do
	mkdir -p "$found/$target"
	log=$found/$target.log
	"$B/fuzz/fuzz-$target" -max_total_time="${FUZZ_SECONDS:-60}" -max_len=4096 -timeout=25 \
		-rss_limit_mb=2048 -print_final_stats=1 -use_value_profile=1 \
		-artifact_prefix="$found/$target.crash-" "$found/$target" \
		"$TOP/tests/fuzz/corpus/$target" >"$log" 2>&1 || {
		tail -n 60 "$log"
		echo "fuzz: $target: broken by the input $(echo "$found/$target".crash-*)"
		exit 1
	}
	n=$(sed -n 's/^stat::number_of_executed_units: //p' "$log")
	edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
	total=$((total + n))
	printf 'fuzz: %-10s %10d executions in %s s, %s edges\n' "$target" "$n" \
		"${FUZZ_SECONDS:-60}" "$edges"
done
echo "fuzz: $total executions, no property broken"
