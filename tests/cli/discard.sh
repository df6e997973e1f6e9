#!/bin/bash
# SPDX-License-Identifier: MIT
# discard: space comes back, whole blocks read as zero, a parent never shows through.
. "$(dirname "$0")/../support/cli.sh"
need jq

"$V" create a.vhdx 64M
pattern 1 16M | "$V" write a.vhdx
before=$(stat -c %b a.vhdx)
expect 0 "$V" discard --offset 4M --length 8M --json a.vhdx
json '.[0] | .path == "a.vhdx" and .offset == 4194304 and .length == 8388608 and .freed > 0'
[ "$(stat -c %b a.vhdx)" -lt $((before - 8000)) ] || fail "no space came back"
"$V" read --offset 4M --length 8M a.vhdx | cmp -n 8388608 - /dev/zero || fail "not zero"
{
	pattern 1 4M
	head -c 8M /dev/zero
	pattern 1 16M | tail -c 4M
} | cmp - <("$V" read --length 16M a.vhdx) || fail "the neighbours changed"
expect 0 "$V" inspect --blocks --json a.vhdx
json '.[0].blocks | .present == 4 and .zero == 4'
expect 0 "$V" check a.vhdx

"$V" create --parent a.vhdx c.vhdx
expect 0 "$V" discard --offset 0 --length 2M c.vhdx
"$V" read --length 2M c.vhdx | cmp -n 2097152 - /dev/zero || fail "the parent shows through"
"$V" read --offset 2M --length 2M c.vhdx | cmp - <(pattern 1 4M | tail -c 2M) || fail "too much is gone"
expect 0 "$V" check c.vhdx

expect 2 "$V" discard --offset 63M --length 2M a.vhdx
expect 0 "$V" discard --offset 0 --length 0 a.vhdx
expect 1 "$V" discard --offset 0 --length 1M missing.vhdx
