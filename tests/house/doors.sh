#!/bin/bash
# SPDX-License-Identifier: MIT
# The tools open images by vd_image_open, which asks the policy. Those who go past it are named here:
# commands that ask none, and files that are being made.
set -eu
cd "$TOP"

# may FUNCTION FILE...: no other file calls it.
may()
{
	local name=$1 others
	shift
	others=$(grep -lE "\\b$name\\(" vdtool/*.c vdtool/*/*.c vdfuse/*.c control/*.c | grep -vxF -f <(printf '%s\n' "$@") || true)
	[ -z "$others" ] || {
		echo "$name is called by" $others
		exit 1
	}
}
# Those who look: map, compare, bench, ctl; what create and convert have just made.
may vd_disk_open vdtool/image.c vdtool/commands/cmd_convert.c
may tool_image_open vdtool/image.c vdtool/commands/cmd_map.c vdtool/commands/cmd_compare.c vdtool/commands/cmd_create.c vdtool/commands/cmd_bench.c \
	vdtool/commands/cmd_ctl.c
# The helpers that ask; searches, which ask none; the metadata of what convert has made.
may vd_image_open vdtool/metadata.c vdtool/policed.c vdtool/carry.c vdfuse/owner_policy.c \
	vdtool/search/search_look.c vdtool/catalog/catalog_reader.c
