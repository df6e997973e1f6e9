#!/bin/bash
# SPDX-License-Identifier: MIT
# check: good images pass; a broken rule is exit 3 with its section, place and meaning.
. "$(dirname "$0")/../support/cli.sh"
need jq

"$V" create a.vhdx 64M
pattern 1 3M | "$V" write --offset 5M a.vhdx
"$V" create --parent a.vhdx c.vhdx
pattern 2 100 | "$V" write --offset 6M c.vhdx
"$V" create --type fixed f.vhdx 8M
"$V" create --format raw r.raw 1M
expect 0 "$V" check a.vhdx c.vhdx f.vhdx r.raw
silent
shows "a.vhdx: every rule is kept"
expect 0 "$V" check --json a.vhdx
json '.[0] | .path == "a.vhdx" and .errors == 0 and .findings == []'

# One damaged header: found, and nothing is changed by looking.
cp a.vhdx h.vhdx
printf 'XXXX' | dd of=h.vhdx bs=1 seek=65600 conv=notrunc status=none
sum=$(sha256sum <h.vhdx)
got=0
"$V" check --json h.vhdx >out 2>err || got=$?
json '.[0].findings | length >= 1'
json '.[0].findings[0] | has("severity") and has("rule") and has("section") and has("offset") and has("found") and has("expected")'
json '.[0].findings[0].section | startswith("MS-VHDX")'
[ "$sum" = "$(sha256sum <h.vhdx)" ] || fail "check changed the image"
if jq -e '.[0].errors > 0' out >/dev/null; then
	[ $got = 3 ] || fail "errors, but exit $got"
else
	[ $got = 0 ] || fail "no errors, but exit $got"
fi

# Both headers gone: corrupt.
printf 'XXXX' | dd of=h.vhdx bs=1 seek=131136 conv=notrunc status=none
expect 3 "$V" check h.vhdx
expect 3 "$V" check a.vhdx h.vhdx
expect 1 "$V" check missing.vhdx
