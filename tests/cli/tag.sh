#!/bin/bash
# SPDX-License-Identifier: MIT
# tag: which operands are edits, what they do, several images, tags of any letters.
. "$(dirname "$0")/../support/cli.sh"
need jq

"$V" create a.vhdx 8M
"$V" create b.vhdx 8M
expect 0 "$V" tag a.vhdx
shows "a.vhdx   -"
[ "$("$V" meta list --json a.vhdx | jq '.[0].records | length')" = 0 ] || fail "showing tags stored something"

expect 0 "$V" tag a.vhdx b.vhdx +web env=prod
silent
[ ! -s out ] || fail "an edit prints something"
expect 0 "$V" tag a.vhdx b.vhdx
shows "a.vhdx   web env=prod"
shows "b.vhdx   web env=prod"
expect 0 "$V" tag --json a.vhdx
json '.[0] | .path == "a.vhdx" and .tags == {words: ["web"], pairs: {env: "prod"}}'

# A key has one value; a word is there once.
expect 0 "$V" tag a.vhdx env=test +web +web
expect 0 "$V" tag --json a.vhdx
json '.[0].tags == {words: ["web"], pairs: {env: "test"}}'
expect 0 "$V" tag a.vhdx +env=dev
expect 0 "$V" tag --json a.vhdx
json '.[0].tags.pairs == {env: "dev"}'

# Removing: a word, a pair by its key or in whole, and what isn't there.
expect 0 "$V" tag a.vhdx +old owner=me -web -owner
expect 0 "$V" tag --json a.vhdx
json '.[0].tags == {words: ["old"], pairs: {env: "dev"}}'
expect 0 "$V" tag a.vhdx -env=prod
says 'has no tag "env=prod"'
expect 0 "$V" tag a.vhdx -env=dev -old
expect 0 "$V" tag a.vhdx
shows "a.vhdx   -"

# An edit that changes nothing writes nothing.
before=$(sha256sum <b.vhdx)
expect 0 "$V" tag b.vhdx +web env=prod
[ "$before" = "$(sha256sum <b.vhdx)" ] || fail "the same tags were written again"

# Blanks in values, other scripts.
expect 0 "$V" tag a.vhdx 'owner=Jane Doe' +grüße 日本=語
expect 0 "$V" tag --json a.vhdx
json '.[0].tags == {words: ["grüße"], pairs: {owner: "Jane Doe", "日本": "語"}}'
expect 0 "$V" tag a.vhdx
shows "'owner=Jane Doe'"
shows "grüße"
expect 2 "$V" tag a.vhdx '+two words'
expect 0 "$V" tag --json a.vhdx
json '.[0].tags.words == ["grüße"]'

# All of an image's edits, or none; the other images get theirs.
expect 2 "$V" tag a.vhdx +fine '+not fine'
expect 0 "$V" tag --json a.vhdx
json '.[0].tags.words == ["grüße"]'
expect 1 "$V" tag missing.vhdx b.vhdx +late
says "missing.vhdx: "
expect 0 "$V" tag b.vhdx
shows "late"
expect 1 "$V" tag --json missing.vhdx b.vhdx
json 'length == 2 and (.[0].error.text | length) > 0 and (.[1].tags.words | index("late"))'

# Operands: edits begin at the first that looks like one; options stop at the first operand.
cp b.vhdx 'x=y.vhdx'
expect 0 "$V" tag './x=y.vhdx' +here
expect 0 "$V" tag './x=y.vhdx'
shows here
expect 2 "$V" tag 'x=y.vhdx'
says "./"
expect 2 "$V" tag a.vhdx +x b.vhdx
says '"b.vhdx" isn'"'"'t an edit'
expect 2 "$V" tag a.vhdx +
expect 2 "$V" tag a.vhdx -
expect 2 "$V" tag a.vhdx =x
expect 2 "$V" tag a.vhdx +=x
expect 2 "$V" tag -x a.vhdx
expect 0 "$V" tag a.vhdx +x --json
says 'has no tag "-json"'
expect 0 "$V" tag -- a.vhdx +y
expect 0 "$V" tag --json a.vhdx
json '.[0].tags.words | index("x") and index("y")'

# Payload stays, children stay valid, the file's id changes.
pattern 3 3M | "$V" write b.vhdx
sum=$("$V" read b.vhdx | sha256sum)
"$V" create --parent b.vhdx child.vhdx
"$V" inspect --json b.vhdx >before
expect 0 "$V" tag b.vhdx +parent
"$V" inspect --json b.vhdx >after
[ "$sum" = "$("$V" read b.vhdx | sha256sum)" ] || fail "the payload changed"
[ "$sum" = "$("$V" read child.vhdx | sha256sum)" ] || fail "the child can't be read"
[ "$(jq '.[0].data_write_id' before)" = "$(jq '.[0].data_write_id' after)" ] || fail "the data id changed"
[ "$(jq '.[0].file_write_id' before)" != "$(jq '.[0].file_write_id' after)" ] || fail "the file id didn't change"
expect 0 "$V" check b.vhdx child.vhdx

# A child has the tags of the disk that it continues, and its own from then on.
expect 0 "$V" tag --json child.vhdx
json '.[0].tags.words | index("late")'
json '.[0].tags.words | index("parent") | not'
mkdir alone
cp child.vhdx alone/
expect 0 "$V" tag alone/child.vhdx +lonely
expect 0 "$V" tag --json alone/child.vhdx child.vhdx
json '(.[0].tags.words | index("lonely")) and (.[1].tags.words | index("lonely") | not)'
