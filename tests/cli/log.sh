#!/bin/bash
# SPDX-License-Identifier: MIT
# The history: when it begins, what enters it, who it names, and that a changed entry is found.
. "$(dirname "$0")/../support/cli.sh"
need jq
item=$B/tests/meta/itemctl

# Nothing is put where nobody asked.
"$V" create a.vhdx 16M
"$V" create --format raw r.raw 4M
echo x | "$V" write a.vhdx
echo x | "$V" write r.raw
"$V" discard --offset 0 --length 4M a.vhdx
"$V" convert a.vhdx c.vhdx
[ -z "$("$item" list a.vhdx)$("$item" list c.vhdx)" ] || fail "an item for history alone"
[ ! -e r.raw.vdmeta ] || fail "a sidecar for history alone"
expect 0 "$V" log a.vhdx
[ ! -s out ] || fail "a history out of nothing"
expect 0 "$V" log --verify a.vhdx

# The first edit begins it; then content counts too, once an opening.
"$V" tag a.vhdx +web
{ echo 1; sleep 0.1; pattern 1 3M; } | "$V" write a.vhdx --offset 1M
"$V" discard --offset 0 --length 4M a.vhdx
"$V" bench -w -c 10 -d 2 a.vhdx >/dev/null
"$V" read a.vhdx >/dev/null
"$V" bench -c 10 a.vhdx >/dev/null
expect 0 "$V" log --json a.vhdx
json '[.[0].entries[].operation] == ["tag", "write", "discard", "bench"]'
json '[.[0].entries[].number] == [1, 2, 3, 4]'
json '.[0].entries | all(.linked and .outcome != "failed")'
json '.[0].entries[0].parameters == "+web"'
json '.[0].entries[1].parameters == "--offset 1048576"'
json ".[0].entries | all(.actor == \"$(id -un)\" and .host == \"$(uname -n)\" and (.tool | test(\"^vdtool [0-9]\")))"
json '.[0].entries as $e | [range(1; 4) | $e[.].previous == $e[. - 1].digest] | all'
expect 0 "$V" log a.vhdx
[ "$(wc -l <out)" = 4 ] || fail "a line an entry"
shows "$(id -un)@$(uname -n)  tag +web"
cp out log
expect 0 "$V" history a.vhdx
cmp -s out log || fail "history isn't log"

# A write of nothing is no change.
"$V" write a.vhdx </dev/null
"$V" discard --offset 0 --length 0 a.vhdx
expect 0 "$V" log --json a.vhdx
json '.[0].entries | length == 4'

# --actor sets a name, or leaves it out.
"$V" tag --actor "Jane Doe" a.vhdx +x
echo y | "$V" write --actor build-bot a.vhdx
"$V" meta set --actor "" a.vhdx title=T
expect 0 "$V" log --json a.vhdx
json '.[0].entries[4].actor == "Jane Doe" and .[0].entries[5].actor == "build-bot"'
json '.[0].entries[6] | .actor == null and .host == null and .operation == "meta set"'

# create --history
expect 0 "$V" create --history --actor me new.vhdx 8M
expect 0 "$V" log --json new.vhdx
json '.[0].entries | length == 1 and .[0].operation == "create" and .[0].parameters == "8M" and .[0].actor == "me"'
expect 0 "$V" create --format raw --history new.raw 8M
expect 0 "$V" log --json new.raw
json '.[0].entries | length == 1'
expect 2 "$V" create --actor me other.vhdx 8M

# It goes on in a copy, and the copy's own entry follows; the source's isn't touched.
sum=$(sha256sum <a.vhdx)
"$V" convert a.vhdx copy.vhdx
"$V" convert --no-metadata a.vhdx bare.vhdx
[ "$sum" = "$(sha256sum <a.vhdx)" ] || fail "the source changed"
expect 0 "$V" log --json copy.vhdx
json '.[0].entries | length == 8 and .[7].operation == "convert" and .[7].parameters == "a.vhdx copy.vhdx"'
expect 0 "$V" log --verify copy.vhdx a.vhdx
shows "copy.vhdx: 8 entries, every link is right"
[ -z "$("$item" list bare.vhdx)" ] || fail "--no-metadata"

# A child begins its own.
"$V" create --parent a.vhdx child.vhdx
expect 0 "$V" log --json child.vhdx
json '.[0].entries == []'

# A changed entry is named, also one whose item is intact as such.
cp a.vhdx rotten.vhdx
id=$("$V" meta list --json rotten.vhdx | jq -r '.[0].records[] | select(.type == "history") | .id')
length=$("$item" list rotten.vhdx | awk -v id="$id" '$1 == id { print $3 }')
"$item" flip rotten.vhdx "$id" $((length - 20))
expect 3 "$V" log --verify rotten.vhdx
says "rotten.vhdx: "
expect 3 "$V" meta validate rotten.vhdx
grep -qi history out || fail "validate doesn't name the history"
# The disk is as usable as ever.
"$V" read rotten.vhdx | cmp - <("$V" read a.vhdx) || fail "the payload suffers"
expect 0 "$V" inspect rotten.vhdx
