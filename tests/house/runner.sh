#!/bin/bash
# SPDX-License-Identifier: MIT
# The runner tells passed, failed, skipped, hanging and crashing tests apart, and counts cases.
set -eu

mkdir -p tree/tests/cli tree/tests/unit tree/build/tests/unit
cp "$TOP/tests/run" tree/tests/
mkdir tree/tests/support
cp "$TOP/tests/support/why.sh" tree/tests/support/
run() { (cd tree && B=$PWD/build VD_TEST_TIMEOUT=${seconds:-60} tests/run "$@") >out 2>&1; }
fail() { echo "$1"; sed 's/^/> /' out; exit 1; }
closes_with() { [ "$(tail -n 1 out)" = "$1" ] || fail "wanted as last line: $1"; }
program() { # NAME OUTPUT EXIT
	: >"tree/tests/unit/$1.c"
	printf '#!/bin/sh\nprintf "%s"\nexit %s\n' "$2" "$3" >"tree/build/tests/unit/$1"
	chmod +x "tree/build/tests/unit/$1"
}

! run || fail 'nothing to run must not be a success'
closes_with '0 passed, 0 failed, 0 skipped'

echo 'test -d "$T" && test -d "$B"' >tree/tests/cli/good.sh
run || fail 'a good test failed'
closes_with '1 passed, 0 failed, 0 skipped'

printf 'echo no such peer\nexit 77\n' >tree/tests/cli/skips.sh
run || fail 'a skip counted as a failure'
closes_with '1 passed, 0 failed, 1 skipped'
grep -q '^SKIP .*cli/skips: no such peer' out || fail 'the reason of the skip is missing'
! run cli/skips || fail 'only skips must not be a success'

printf 'echo this is why\nexit 1\n' >tree/tests/cli/bad.sh
! run || fail 'a failing test was taken for good'
closes_with '1 passed, 1 failed, 1 skipped'
grep -q '    | this is why' out || fail 'the output of the failed test is missing'
run cli/good || fail 'a test could not be run by its name'
rm tree/tests/cli/bad.sh

printf 'set -e\nfalse_too() { [ "$(echo a)" = b ]; }\nfalse_too\n' >tree/tests/cli/silent.sh
! run silent || fail 'a test that fails without a word was taken for good'
grep -q '    | FAILED: silent.sh:3, silent.sh:2 ended with 1: \[ "$(echo a)" = b \]' out || fail 'not said which command it was'
[ "$(tail -n 2 out | head -n 1)" = "$(grep -m 1 '    | ' out)" ] || fail 'why it failed is not said again at the end'

printf 'sleep 601 & echo $! >%s/child; wait\n' "$PWD" >tree/tests/cli/hangs.sh
! seconds=3 run hangs || fail 'a hanging test was taken for good'
grep -q '^FAIL .*cli/hangs: no end after 3 s' out || fail 'the hanging test is not named'
grep -q '    | .* sleep 601' out || fail 'not said what it hung at'
is_running() { grep -qs '^State:.[^Z]' "/proc/$(cat child)/status"; }
for ((i = 0; i < 100; i++)); do
	is_running || break
	sleep 0.1
done
! is_running || fail 'a child of the hanging test is still running'
rm tree/tests/cli/*

# The names of failed cases stand behind the count in cmocka's summary.
program test_cases '[  PASSED  ] 3 test(s).\n[  FAILED  ] 2 test(s), listed below:\n[  FAILED  ] a\n' 2
! run || fail 'failed cases were taken for good'
closes_with '3 passed, 2 failed, 0 skipped'
program test_cases '[  PASSED  ] 3 test(s).\n' 1
! run || fail 'a bad exit code behind good cases was taken for good'
program test_cases 'hello\n' 0
! run || fail 'a program without a case was taken for good'
grep -q 'ran no test case' out || fail 'no word about the missing cases'
program test_cases '[  PASSED  ] 3 test(s).\n' 0
run || fail 'good cases failed'
closes_with '3 passed, 0 failed, 0 skipped'
rm tree/build/tests/unit/test_cases
! run || fail 'a program that was not built was taken for good'
grep -q 'was not built' out || fail 'no word about the program that is missing'
