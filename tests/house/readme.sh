#!/bin/bash
# SPDX-License-Identifier: MIT
# The demos work, and the README's tours are what they print.
set -eu

"$TOP/tests/demo.sh" >demo || { cat demo; exit 1; }
export DEMO_OUTPUT=$T/demo
"$TOP/tests/demo_search.sh" >search || { cat search; exit 1; }
export DEMO_SEARCH_OUTPUT=$T/search
code=0
"$TOP/tests/demo_mount.sh" >mount || code=$?
[ $code = 0 ] || cat mount
[ $code = 0 ] || [ $code = 77 ] || exit 1
[ $code = 77 ] || export DEMO_MOUNT_OUTPUT=$T/mount
"$TOP/tests/readme-check"
# A tour, or a session, that says something else is noticed.
is_noticed()
{
	sed "$1" "$TOP/README.md" >README.md
	if README=$T/README.md "$TOP/tests/readme-check" >out; then
		echo "taken for right: $1"
		exit 1
	fi
	grep -q 'README.md (<) and this run (>) differ' out
}
is_noticed 's/Images are identical/Images are alike/'
is_noticed 's/rule production-is-patched/rule production-is-fine/'
[ $code = 77 ] || is_noticed 's/the same files/other files/'
