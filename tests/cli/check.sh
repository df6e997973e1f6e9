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
expect 0 "$V" check --json h.vhdx
json '.[0] | keys == ["errors", "findings", "notes", "path", "warnings"] and [.errors, .warnings, .notes] == [0, 1, 0] and (.findings | length) == 1'
json '.[0].findings[0] | keys == ["expected", "found", "offset", "rule", "section", "severity"]'
json '.[0].findings[0] | [.severity, .rule, .section, .offset] == ["warning", "vhdx-header-checksum", "MS-VHDX 2.2.2", 65540]'
json '.[0].findings[0].expected == "the CRC-32C of its 4,096 bytes"'
json '.[0].findings[0].found | test("^header 1 has checksum [0-9a-f]{8}, its bytes give [0-9a-f]{8}$")'
expect 0 "$V" check h.vhdx
shows "vhdx-header-checksum"
[ "$sum" = "$(sha256sum <h.vhdx)" ] || fail "check changed the image"

# Both headers gone: corrupt.
printf 'XXXX' | dd of=h.vhdx bs=1 seek=131136 conv=notrunc status=none
expect 3 "$V" check h.vhdx
expect 3 "$V" check --json h.vhdx
json '.[0].errors == 2 and [.[0].findings[] | select(.severity == "error") | .offset] == [65540, 131076]'
expect 3 "$V" check a.vhdx h.vhdx
expect 1 "$V" check missing.vhdx
