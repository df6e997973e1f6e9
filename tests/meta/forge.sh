#!/bin/bash
# SPDX-License-Identifier: MIT
# Who computes all digests anew can make the facts, their directory and the history tell what they
# like, and a plain reader believes it. Who derives the facts from the documents sees it; a history
# without a signature proves nothing against that, which the documentation says.
. "$(dirname "$0")/../support/cli.sh"
need jq
forge=$B/tests/meta/forge

"$V" create -q a.vhdx 8M
"$V" tag -q --actor alice a.vhdx +Web env=prod
"$V" meta set -q --actor alice a.vhdx patches - <<X
<patches xmlns="urn:libvdisk:patches:1">
  <open id="CVE-2026-1111" severity="high"/>
  <open id="CVE-2026-2222" severity="low"/>
</patches>
X
"$V" meta set -q --actor alice a.vhdx expires=2027-01-01 title=Shop
echo text | "$V" meta attach -q --actor alice --kind none --name notes --media-type text/aaaaa a.vhdx -
"$V" tag -q --actor alice a.vhdx +last
expect 0 "$V" meta validate a.vhdx

# forged WHAT...: that was done to a copy, b.vhdx, in which no digest is wrong.
forged()
{
	cp --sparse=always a.vhdx b.vhdx
	"$forge" "$1" b.vhdx "${@:2}" || fail "forge $*"
}
# seen TEXT: who derives says this, and nothing else in b.vhdx is found wrong.
seen()
{
	expect 3 "$V" meta validate b.vhdx
	[ "$(wc -l <out)" = 1 ] || fail "more than one finding"
	shows "$1"
	expect 3 "$V" meta validate --json b.vhdx
	json '.[0].errors == 1'
}

# ---- facts: a value, what it is found by, what it goes with
forged facts last lost
expect 0 "$V" inspect b.vhdx
shows lost
expect 0 "$V" inspect --json b.vhdx
json '.[0].metadata.stale_facts != true'
expect 0 "$V" tag b.vhdx
shows lost
# The document says what it said.
expect 0 "$V" meta get b.vhdx tag
grep -qx last out || fail "meta get believes the facts"
seen "facts: stored is tag=lost, but the documents give tag=last"
forged facts 2027-01-01T00:00:00Z 2037-01-01T00:00:00Z
seen "facts: stored is expires=2037-01-01T00:00:00Z, but the documents give expires=2027-01-01T00:00:00Z"
forged facts web wax
seen 'facts: tag=Web is stored to be found as "wax"'
forged group high 2
seen "facts: "
forged group high 0
seen "facts: "
# An edit derives them anew, and the forged ones are gone.
forged facts last lost
"$V" meta set -q b.vhdx description=D
expect 0 "$V" meta validate b.vhdx
expect 0 "$V" tag b.vhdx
shows last

# ---- their directory: of documents it has to agree with their heads, of files only when they are read
forged digest tags
expect 0 "$V" meta validate b.vhdx
says "older than the documents"
expect 0 "$V" tag b.vhdx
shows last
forged digest notes
expect 0 "$V" meta extract b.vhdx notes -
[ "$(cat out)" = text ] || fail "the file"
seen "attachment notes: "
forged facts text/aaaaa text/zzzzz
expect 0 "$V" meta list b.vhdx
shows text/zzzzz
seen "attachment notes: "
# A copy has what the file's own head says.
expect 0 "$V" convert b.vhdx c.vhdx
expect 0 "$V" meta list c.vhdx
shows text/aaaaa

# ---- a document with right digests: nobody can tell, but the facts follow it
forged document tags last lost
expect 0 "$V" tag b.vhdx
shows lost
expect 0 "$V" meta validate b.vhdx
says "older than the documents"

# ---- a value that can't be read: that document is damaged, the rest goes on, also into a copy
forged document validity 2027-01-01 2027-0x-01
expect 0 "$V" inspect b.vhdx
shows "damaged   document validity"
expect 0 "$V" tag b.vhdx
shows last
expect 0 "$V" convert b.vhdx d.vhdx
says "metadata that isn't copied: validity: "
expect 0 "$V" tag d.vhdx
shows last
expect 4 "$V" policy check --action run b.vhdx
shows "builtin:metadata"
expect 0 "$V" meta remove b.vhdx validity
expect 0 "$V" policy check --action run b.vhdx

# ---- the history
for n in 0 1 3 9; do
	forged length $n
	expect 3 "$V" log --verify b.vhdx
	says "b.vhdx: history: "
	expect 3 "$V" meta validate b.vhdx
	shows "b.vhdx: history: "
done
for n in 1 4 5; do
	forged cut $n
	expect 3 "$V" log --verify b.vhdx
	says "history: entries are missing at its end"
	expect 3 "$V" meta validate b.vhdx
	shows "history: entries are missing at its end"
done
# The whole record gone, by a program that knows no facts.
cp --sparse=always a.vhdx b.vhdx
"$B/tests/meta/itemctl" remove b.vhdx 0c8e1889-8a7d-5b5e-90b2-61cd1dd3e0da
expect 3 "$V" log --verify b.vhdx
says "history: entries are missing"
expect 3 "$V" meta validate b.vhdx
# All of it anew, also shorter: every link is right.
forged history alice mallo
expect 0 "$V" log --verify b.vhdx
shows "5 entries, every link is right"
expect 0 "$V" log --json b.vhdx
json '[.[0].entries[].actor] | unique == ["mallo"]'
expect 0 "$V" meta validate b.vhdx
forged history alice mallo 2
expect 0 "$V" log --verify b.vhdx
shows "3 entries, every link is right"
# And it is said that this may be.
grep -q "proves nothing" "$TOP/docs/metadata-format.md" || fail "docs/metadata-format.md doesn't say what a chain doesn't prove"
tr -s '\n ' '  ' <"$TOP/docs/man/vdtool.1" | grep -q "recomputes all that follow isn't noticed" || fail "the man page doesn't say it"
