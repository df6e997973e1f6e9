#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Sabotage: a build with -DVD_SABOTAGE leaves out one step of the write path at a time, and a test
# that passes without sabotage has to notice. Fails if one survives, if a step of
# libvdisk/base/sabotage.h has no test here, or if docs/testing.md tells another table.
# sabotage.sh --table prints that table; sabotage.sh NAME... tries only these. test-timeout: 300
set -eu
TOP=${TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
B=${B:-$TOP/build}
export T="${T:-$(mktemp -d)}"
# All that pending changes allow up to three of them, and no more.
export VD_CRASH_STATES=1
no_aslr=
if setarch -R true 2>/dev/null; then
	no_aslr='setarch -R'
fi

# What must notice: STEP PROGRAM CASE. A "tsan/" program is the ThreadSanitizer build.
expected='
I1_FILE_ID      fault/test_steps         the_first_change_gives_new_guids_to_both_headers
I1_DATA_ID      fault/test_steps         the_first_change_gives_new_guids_to_both_headers
I2_SYNC         fault/test_steps         the_first_change_gives_new_guids_to_both_headers
I2_SLOT         fault/test_crash         dynamic
I2_SEQ          fault/test_steps         the_first_change_gives_new_guids_to_both_headers
I2_BOTH         fault/test_steps         the_first_change_gives_new_guids_to_both_headers
I3_HEADER       fault/test_crash         dynamic
I5_LAP          fault/test_steps         a_lap_of_the_log_has_its_own_guid_and_never_wraps
I6_FLUSHED      fault/test_crash         dynamic
I6_TRIM         fault/test_crash         dynamic
I7_REUSE        fault/test_crash         dynamic
I7_THAW         fault/test_meetings      a_failed_commit_frees_nothing
I8_SPLIT        fault/test_crash         dynamic, two chunks
F1_ZERO         fault/test_crash         dynamic
F1_EARLY        fault/test_meetings      a_commit_has_no_write_that_is_under_way
F1_OLD_BITS     fault/test_steps         bits_of_an_earlier_life_dont_count
F1_BITMAP       fault/test_steps         a_new_bitmap_block_is_zero
F1_CANCEL       fault/test_meetings      space_of_a_failed_write_is_not_zero
F1_WAIT         fault/test_meetings      the_second_writer_waits_until_new_space_is_zero
F1_FULL         fault/test_crash         differencing
F1_PARTIAL      fault/test_crash         differencing
F1_FAILED       fault/test_meetings      space_of_a_failed_write_is_not_zero
F2_SYNC         fault/test_crash         dynamic, two chunks
F2_OVERWRITE    fault/test_crash         fixed
F2_RACE         fault/test_meetings      a_write_during_a_sync_gets_its_own
F4_SYNC         fault/test_crash         dynamic
F5_EARLY        fault/test_crash         differencing
F5_SEQ          fault/test_crash         dynamic
F5_FORGET       fault/test_meetings      committed_pages_get_in_place_later
CLOSE_SYNC      fault/test_crash         dynamic, two chunks
COALESCE        fault/test_meetings      a_flush_waits_for_a_commit_that_has_its_writes
COALESCE_ERROR  fault/test_meetings      who_shares_a_failed_commit_hears_of_it
THAW            fault/test_failing_calls flush
POISON          fault/test_failing_calls flush
GATE            unit/test_threads_pins   test_pinned_place_stays_the_readers
PIN             unit/test_threads_pins   test_pinned_place_stays_the_readers
EVICT           fault/test_meetings      pages_of_a_commit_stay_until_they_are_in_place
CACHE_STALE     fault/test_meetings      a_page_that_was_read_too_early_is_read_again
LOCK            tsan/unit/test_threads   test_one_new_block_two_writers
CHILD_TRIM      fault/test_crash         differencing
ANNOUNCE        fault/test_steps         the_first_change_is_announced_and_can_be_refused
REPLAY_FILE_ID  fault/test_steps         a_replay_changes_the_file_not_its_data
REPLAY_DATA_ID  fault/test_steps         children_outlive_a_replay_but_not_a_write
REPLAY_EXTEND   unit/test_vhdx_replay    file_grows_as_the_head_demands
REPLAY_EARLY    fault/test_crash         dynamic
REPLAY_SYNC     fault/test_crash         dynamic
REGION_DIRECT   fault/test_steps         unequal_region_tables_are_repaired_through_the_log
REGION_ONE      fault/test_steps         unequal_region_tables_are_repaired_through_the_log
ITEM_EARLY      fault/test_items_crash   items
ITEM_SYNC       fault/test_items_crash   items
ITEM_REUSE      fault/test_items_crash   items
ITEM_SESSION    unit/test_vhdx_items     a_change_gives_a_new_file_write_guid_only
ITEM_DATA_ID    unit/test_vhdx_items     a_change_gives_a_new_file_write_guid_only
ITEM_UNDO       fault/test_items_steps   a_change_that_failed_comes_with_no_later_commit
REGION_EARLY    fault/test_items_crash   items, the region grows
REGION_SYNC     fault/test_items_crash   items, the region grows
REGION_SPLIT    fault/test_items_crash   items, the region grows
REGION_CRC      fault/test_items_crash   items, the region grows
REGION_ZERO     unit/test_vhdx_items_others a_new_region_holds_nothing_else
REGION_LAP      fault/test_items_crash   items, the region grows
REGION_CACHE    fault/test_items_steps   a_bitmap_where_the_region_was_is_zero
M1_WATCH        fault/test_moves_steps   a_write_during_the_copy_is_copied_again
M1_HOLD         fault/test_moves_steps   writers_wait_while_their_block_changes_its_place
M1_DRAIN        fault/test_moves_steps   a_block_waits_for_writes_in_flight
M2_ZERO         fault/test_moves_steps   space_with_old_bytes_is_zeroed_before_a_block_moves_there
M3_EARLY        fault/test_moves_steps   the_old_place_keeps_its_bytes_until_the_commit
M2_BITMAP       fault/test_moves_steps   bits_that_are_set_while_their_bitmap_moves_go_with_it
M3_BITMAP       unit/test_vhdx_move      a_bitmap_block_moves
DROP_LOOK       fault/test_moves_steps   a_block_that_was_written_since_the_look_stays
PUNCH_LOOK      fault/test_moves_steps   zeros_that_were_written_since_the_look_stay
T1_SYNC         fault/test_moves_steps   the_log_is_emptied_when_all_is_in_place
T2_LAP          fault/test_moves_steps   the_log_asks_for_no_more_than_the_file_has
H1_LOG          fault/test_full_host     what_was_written_is_committed_on_a_full_host
H2_PAGE         fault/test_full_host     what_was_written_is_committed_on_a_full_host
H3_START        fault/test_full_host     the_log_goes_on_where_it_has_space
'

program_of() {
	case $1 in
	tsan/*) echo "$B/sabotage-tsan/tests/${1#tsan/}" ;;
	*) echo "$B/sabotage/tests/$1" ;;
	esac
}

# Run one case with a step left out; its exit code, output in $T/log.
run() {
	local step=$1 path=$2 case=$3 rc=0 runner=

	[ "${path%%/*}" != tsan ] || runner=$no_aslr
	# shellcheck disable=SC2086
	VD_SABOTAGE=$step timeout -k 5 60 $runner "$(program_of "$path")" "$case" >"$T/log" 2>&1 ||
		rc=$?
	return $rc
}

# The case failed by its own verdict: not a crash, not a hang, not a case that doesn't exist.
has_noticed() {
	local rc=$1 path=$2

	if [ "${path%%/*}" = tsan ]; then
		grep -q '^WARNING: ThreadSanitizer: data race' "$T/log"
	else
		grep -q "failed with exception" "$T/log" && return 1
		[ "$rc" -gt 0 ] && [ "$rc" -lt 99 ] && grep -q "^\[  FAILED  \]" "$T/log"
	fi
}

words_of() {
	sed -n "s/^\tX($1, \"\(.*\)\").*/\1/p" "$TOP/libvdisk/base/sabotage.h"
}

table() {
	local step path case

	echo '| step | what is broken | noticed by |'
	echo '|---|---|---|'
	while read -r step path case; do
		[ -n "$step" ] || continue
		printf '| %s | %s | `%s`: %s |\n' "$step" "$(words_of "$step")" "$path" "$case"
	done <<<"$expected"
}

if [ "${1:-}" = --table ]; then
	table
	exit
fi
if [ ! -x "$(program_of fault/test_steps)" ]; then
	echo 'the sabotage build is not there: make sabotage'
	exit 77
fi

declare -A is_sound=()
n=0 n_survived=0 survivors=
while read -r step path case; do
	[ -n "$step" ] || continue
	if [ $# -gt 0 ]; then
		case " $* " in
		*" $step "*) ;;
		*) continue ;;
		esac
	fi
	n=$((n + 1))
	if [ -z "${is_sound[$path:$case]:-}" ]; then
		if ! run 0 "$path" "$case" || ! { [ "${path%%/*}" = tsan ] ||
			grep -q '^\[       OK \] '"$case" "$T/log"; }; then
			cat "$T/log"
			echo "$path: $case fails without sabotage, or there is no such case"
			exit 1
		fi
		is_sound[$path:$case]=1
	fi
	start=${EPOCHREALTIME/./} rc=0
	run "$step" "$path" "$case" || rc=$?
	if has_noticed $rc "$path"; then
		verdict="noticed by $path: $case"
	else
		verdict="SURVIVED $path: $case (exit code $rc)"
		survivors="$survivors $step"
		n_survived=$((n_survived + 1))
	fi
	printf '%-14s | %-66s | %s (%d ms)\n' "$step" "$(words_of "$step")" "$verdict" \
		$(((${EPOCHREALTIME/./} - start) / 1000))
done <<<"$expected"
echo "count: sabotages noticed $((n - n_survived))"

[ "$n_survived" -eq 0 ] || { echo "$n_survived of $n survived:$survivors"; exit 1; }
[ $# -eq 0 ] || exit 0
# Each step that can be left out is left out here.
VD_SABOTAGE=list "$(program_of fault/test_steps)" | while read -r _ step _; do
	grep -q "^$step " <<<"$expected" || { echo "$step: no test here has to notice it"; exit 1; }
done
while read -r line; do
	grep -qxF -- "$line" "$TOP/docs/testing.md" || {
		echo "docs/testing.md lacks what sabotage.sh --table prints: $line"
		exit 1
	}
done < <(table)
echo "all $n noticed"
