#!/bin/bash
# SPDX-License-Identifier: MIT
# An image that another process writes: 5 and its name for those who need the content, and no
# hindrance for those who only look.
. "$(dirname "$0")/../support/cli.sh"
need jq

"$V" create a.vhdx 16M
"$V" create b.vhdx 16M
mkfifo pipe
"$V" write a.vhdx <pipe &
holder=$!
exec 9>pipe
is_in_use()
{
	"$V" inspect --json a.vhdx | jq -e '.[0].in_use != null'
}
wait_for is_in_use

for look in "inspect" "map"; do
	expect 0 "$V" $look a.vhdx
done
for use in "check a.vhdx" "read a.vhdx" "compare b.vhdx a.vhdx" "convert a.vhdx n.vhdx" \
	"write a.vhdx" "discard --offset 0 --length 1M a.vhdx" "bench -c 1 a.vhdx" \
	"create --force a.vhdx 1M" "convert --force b.vhdx a.vhdx"; do
	# shellcheck disable=SC2086
	expect 5 "$V" $use </dev/null
	says "vdtool: a.vhdx: "
	says "(pid $holder)"
done
[ ! -e n.vhdx ] || fail "n.vhdx was made"
expect 5 "$V" check --json a.vhdx
json '.[0].error.code == "busy"'
# The worst of several: 3 before 1 before 5 before 0.
printf 'vhdxfile' >broken.vhdx
truncate -s 4M broken.vhdx
expect 5 "$V" check b.vhdx a.vhdx b.vhdx
expect 1 "$V" check a.vhdx missing.vhdx b.vhdx
expect 3 "$V" check missing.vhdx broken.vhdx a.vhdx
exec 9>&-
wait $holder
expect 0 "$V" check a.vhdx
no_leftovers
