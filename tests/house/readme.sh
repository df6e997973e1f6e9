#!/bin/bash
# SPDX-License-Identifier: MIT
# The demo works, the README's tour is what it prints, and its session with a mount what that prints.
set -eu

"$TOP/tests/demo.sh" >demo || { cat demo; exit 1; }
export DEMO_OUTPUT=$T/demo
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
[ $code = 77 ] || is_noticed 's/the same files/other files/'
