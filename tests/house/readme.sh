#!/bin/bash
# SPDX-License-Identifier: MIT
# The demo works, and the README's tour is what it prints.
set -eu

"$TOP/tests/demo.sh" >demo || { cat demo; exit 1; }
export DEMO_OUTPUT=$T/demo
"$TOP/tests/readme-check"
# A tour that says something else is noticed.
sed 's/Images are identical/Images are alike/' "$TOP/README.md" >README.md
! README=$T/README.md "$TOP/tests/readme-check" >out || { echo "a wrong tour was taken for right"; exit 1; }
grep -q 'README.md (<) and this run (>) differ' out
