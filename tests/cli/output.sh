#!/bin/bash
# SPDX-License-Identifier: MIT
# What comes from outside reaches a terminal harmless and JSON valid.
. "$(dirname "$0")/../support/cli.sh"
need jq

# No control character but newline in the file $1.
harmless()
{
	! LC_ALL=C tr -d '\n\040-\176' <"$1" | LC_ALL=C grep -q '[[:cntrl:]]' || fail "control characters in $1"
}

name=$'evil\e[31m\a\n\x7f.vhdx'
"$V" create "$name" 4M
expect 0 "$V" inspect "$name"
harmless out
shows 'evil\x1b[31m\x07\x0a\x7f.vhdx   VHDX'
expect 0 "$V" check "$name"
harmless out
expect 0 "$V" map "$name" "$name"
harmless out
expect 0 "$V" compare "$name" "$name"
harmless out
expect 1 "$V" create "$name" 4M
harmless err
says 'evil\x1b[31m\x07\x0a\x7f.vhdx: exists already'
expect 1 "$V" inspect $'no\e[31m'
harmless err
expect 2 "$V" create --type $'a\e[31m' x 4M
harmless err
expect 2 "$V" $'no\e[31m'
harmless err
expect 0 "$V" inspect --json "$name"
json '.[0].path == "evil\u001b[31m\u0007\n\u007f.vhdx" and (.[0] | has("path_b64") | not)'

# C1 controls and marks that turn the writing around.
"$V" create $'c1\xc2\x9b31m\xe2\x80\xae.vhdx' 4M
expect 0 "$V" inspect $'c1\xc2\x9b31m\xe2\x80\xae.vhdx'
shows 'c1\x9b31m\u{202e}.vhdx'
# Other letters are shown as they are.
"$V" create $'gr\xc3\xb6\xc3\x9fe.vhdx' 4M
expect 0 "$V" inspect $'gr\xc3\xb6\xc3\x9fe.vhdx'
shows $'gr\xc3\xb6\xc3\x9fe.vhdx'

# A name that isn't UTF-8.
"$V" create $'b\xff\xc3.vhdx' 4M
expect 0 "$V" inspect $'b\xff\xc3.vhdx'
shows 'b\xff\xc3.vhdx'
expect 0 "$V" inspect --json $'b\xff\xc3.vhdx'
json '.[0].path == "b\ufffd\ufffd.vhdx"'
[ "$(jq -r '.[0].path_b64' out | base64 -d | od -An -tx1)" = "$(printf 'b\xff\xc3.vhdx' | od -An -tx1)" ] ||
	fail "path_b64"

# A text in the image: the creator.
"$V" create t.vhdx 4M
printf '\033\0[\0003\0001\0m\0\007\0' | dd of=t.vhdx bs=1 seek=8 conv=notrunc status=none
expect 0 "$V" inspect t.vhdx
harmless out
shows 'creator   \x1b[31m'

# JSON stays one array whatever fails, and stdout has nothing else.
expect 1 "$V" inspect --json missing1 missing2
json 'length == 2'
expect 1 "$V" map --json missing1 t.vhdx
json 'length == 2 and (.[1].extents | length) == 1'
expect 1 "$V" inspect --jsonl missing1 t.vhdx
[ "$(jq -s length out)" = 2 ] || fail "--jsonl"

# A full stdout is an error, one that nobody reads isn't worth a word.
got=0
"$V" inspect t.vhdx >/dev/full 2>err || got=$?
[ $got = 1 ] || fail "/dev/full: $got"
says "standard output: No space left"
("$V" map --json t.vhdx t.vhdx 2>err || true) | true
silent
# Closed descriptors don't get mixed up with the image's.
sum=$(sha256sum <t.vhdx)
"$V" inspect t.vhdx >&- 2>&- <&- || true
[ "$sum" = "$(sha256sum <t.vhdx)" ] || fail "output went into the image"

# A failure has its object whatever the subcommand.
for command in "create t.vhdx 4M" "convert missing t2.vhdx" "compare missing t.vhdx" "bench missing" \
	"discard --offset 0 --length 1 missing" "write missing" "check missing"; do
	# shellcheck disable=SC2086
	expect 1 "$V" $command --json </dev/null
	json 'length == 1 and (.[0].path | length) > 0 and (.[0].error.text | length) > 0'
done
