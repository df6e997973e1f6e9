#!/bin/bash
# SPDX-License-Identifier: MIT
# Metadata of an image that QEMU has: it can be read, and editing it names who is in the way.
. "$(dirname "$0")/../support/cli.sh"
need jq qemu-io

"$V" create a.vhdx 16M
"$V" tag a.vhdx +web
"$V" meta set a.vhdx title=T
"$V" create --format raw r.raw 4M
mkfifo pipe
qemu-io -f vhdx a.vhdx <pipe >/dev/null 2>&1 &
holder=$!
exec 9>pipe
echo "write -P 7 4M 3M" >&9
is_held()
{
	"$V" inspect --json a.vhdx | jq -e '.[0].in_use != null'
}
wait_for is_held
for look in "inspect a.vhdx" "tag a.vhdx" "meta get a.vhdx title" "meta list a.vhdx" "log a.vhdx" \
	"log --verify a.vhdx" "meta validate a.vhdx" "meta get a.vhdx tags" "meta diff a.vhdx a.vhdx"; do
	# shellcheck disable=SC2086
	expect 0 "$V" $look
done
expect 0 "$V" inspect a.vhdx
shows "in use by qemu-io (pid $holder)"
shows "tags      web"
echo f >f
for edit in "tag a.vhdx +x" "meta set a.vhdx title=U" "meta remove a.vhdx title" "meta strip a.vhdx" \
	"meta attach a.vhdx f" "write a.vhdx"; do
	# shellcheck disable=SC2086
	expect 5 "$V" $edit </dev/null
	says "a.vhdx: "
	says "(pid $holder)"
done
expect 5 "$V" tag --json a.vhdx +x
json '.[0].error.code == "busy"'
# Worst of several: 5 is worse than 0.
"$V" create b.vhdx 8M
expect 5 "$V" tag a.vhdx b.vhdx +x
expect 0 "$V" tag b.vhdx
shows x
# What lies beside it can be edited meanwhile.
mkdir notes
expect 0 "$V" tag --sidecar notes a.vhdx +noted
echo quit >&9
exec 9>&-
wait $holder || true
expect 0 "$V" tag a.vhdx +x
expect 0 "$V" meta validate a.vhdx
[ "$("$V" read --offset 4M --length 3M a.vhdx | tr -d '\007' | wc -c)" = 0 ] || fail "QEMU's data"

# A raw image that runs can be tagged: its metadata is another file.
qemu-io -f raw r.raw <pipe >/dev/null 2>&1 &
holder=$!
exec 9>pipe
echo "write 0 1M" >&9
expect 0 "$V" tag r.raw +running
expect 0 "$V" tag r.raw
shows running
echo quit >&9
exec 9>&-
wait $holder || true
