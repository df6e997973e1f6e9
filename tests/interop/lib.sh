#!/bin/bash
# SPDX-License-Identifier: MIT
# Sourced by the tests with other programs. They get the build directory in $B, a scratch folder
# in $T.
set -eu
V=$B/vdtool/vdtool
STAMP=$B/tests/interop/stamper
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
VD_IMAGES=${VD_IMAGES:-$TOP/../shared/images}
cd "$T"

fail()
{
	echo "FAILED: $*" >&2
	exit 1
}

skip()
{
	echo "skipped: $*"
	exit 77
}

need()
{
	local program
	for program; do
		command -v "$program" >/dev/null || skip "$program isn't installed"
	done
}

# run COMMAND...: its output is shown if it fails.
run()
{
	"$@" >"$T/run.out" 2>&1 </dev/null || {
		echo "FAILED ($?): $*" >&2
		head -c 3000 "$T/run.out" >&2
		exit 1
	}
}

# can_mount: vhdimount works here.
can_mount()
{
	command -v vhdimount >/dev/null && command -v fusermount >/dev/null && [ -w /dev/fuse ]
}

# mount_vhdi IMAGE: its disk is then $T/mnt/vhdi1 (the newest of a chain has the highest number).
mount_vhdi()
{
	mkdir -p "$T/mnt"
	vhdimount "$1" "$T/mnt" >"$T/run.out" 2>&1 </dev/null && [ -e "$T/mnt/vhdi1" ]
}
umount_vhdi()
{
	local i
	for i in {1..100}; do
		fusermount -u "$T/mnt" 2>/dev/null && return
		sleep 0.1
	done
	fail "can't unmount $T/mnt"
}
