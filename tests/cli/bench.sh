#!/bin/bash
# SPDX-License-Identifier: MIT
# bench: does the requests that it says, and its checksum depends on content and requests only.
. "$(dirname "$0")/../support/cli.sh"
need jq

"$V" create a.vhdx 64M
pattern 1 64M | "$V" write a.vhdx
"$V" convert --format raw a.vhdx a.raw

sum()
{
	expect 0 "$V" bench --json "$@"
	jq -r '.[0].checksum' out
}
one=$(sum -c 1000 -d 1 -s 4096 -S 69632 a.vhdx)
json '.[0] | .engine == "loop" and .requests == 1000 and .bytes == 4096000 and .operation == "read" and .seconds > 0'
[ "$one" = "$(sum -c 1000 -d 8 -s 4096 -S 69632 a.vhdx)" ] || fail "the checksum depends on the depth"
json '.[0] | (.engine == "io_uring" or .engine == "threads") and .depth == 8'
[ "$one" = "$(sum -c 1000 -d 4 -s 4096 -S 69632 a.raw)" ] || fail "vhdx and raw differ"
[ "$one" = "$(sum -c 1000 -d 4 -s 4096 -S 69632 -t none a.vhdx)" ] || fail "O_DIRECT differs"
[ "$one" != "$(sum -c 999 -d 1 -s 4096 -S 69632 a.vhdx)" ] || fail "the checksum misses a request"
[ "$one" != "$(sum -c 1000 -d 1 -s 4096 -S 69632 -o 4096 a.vhdx)" ] || fail "the checksum misses the place"
printf X | "$V" write --offset $((999 * 69632 % 67108864 + 100)) a.vhdx
[ "$one" != "$(sum -c 1000 -d 1 -s 4096 -S 69632 a.vhdx)" ] || fail "the checksum misses the content"
expect 0 "$V" bench -c 10 a.vhdx
grep -qE '^10 reads of 4096 bytes, 64 at a time \(engine: (io_uring|threads)\)$' out || fail "$(cat out)"
shows "checksum of what was read: "

# Over the end of the disk: shorter, then on from the beginning, as the step falls.
expect 0 "$V" bench --json -c 3 -d 1 -s 4000 -S 67108000 a.vhdx
json '.[0].bytes == 4000 + 864 + 1728'

# Writes arrive, durably, with each way to flush.
for how in "" "-t writethrough" "-t directsync" "-t unsafe" "--flush-interval 16" "--flush-interval 16 --no-drain"; do
	"$V" create --force w.vhdx 64M
	# shellcheck disable=SC2086
	expect 0 "$V" bench -w --pattern 0x5a -c 32 -d 4 -s 64K -S 2M $how w.vhdx
	expect 0 "$V" inspect --blocks --json w.vhdx
	json '.[0] | .blocks.present == 32 and .dirty_log == false'
	"$V" read --offset 62M --length 64K w.vhdx | tr -d 'Z' | cmp - /dev/null || fail "pattern ($how)"
	expect 0 "$V" check w.vhdx
done

expect 2 "$V" bench -w --flush-interval 3 -d 4 w.vhdx
expect 2 "$V" bench --flush-interval 8 w.vhdx
expect 2 "$V" bench -w --no-drain w.vhdx
expect 2 "$V" bench -s 0 w.vhdx
expect 2 "$V" bench -d 0 w.vhdx
expect 2 "$V" bench -s 1G -d 5 w.vhdx
expect 0 "$V" bench -n -c 1 w.vhdx
says "note: -n"
expect 1 "$V" bench missing.vhdx
