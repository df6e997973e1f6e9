#!/bin/bash
# SPDX-License-Identifier: MIT
# meta edit: what is typed is stored or stays in a file.
. "$(dirname "$0")/../support/cli.sh"
need jq
export TMPDIR=$T/tmp
mkdir tmp
unset VISUAL

editor()
{
	printf '#!/bin/sh\n%s\n' "$1" >ed.sh
	chmod +x ed.sh
	export EDITOR="$T/ed.sh"
}

"$V" create a.vhdx 8M
# A new document, from an empty one.
editor 'sed -i "s|</content>|  <title>Typed</title>\n</content>|" "$1"'
expect 0 "$V" meta edit a.vhdx content </dev/null
expect 0 "$V" meta get a.vhdx title
[ "$(cat out)" = Typed ] || fail "the title"
[ -z "$(ls tmp)" ] || fail "the file was left"

# An existing one; an editor with options; $VISUAL comes first.
editor 'exit 9'
VISUAL='sed -i s/Typed/Changed/' expect 0 "$V" meta edit a.vhdx content </dev/null
expect 0 "$V" meta get a.vhdx title
[ "$(cat out)" = Changed ] || fail "VISUAL"

# Nothing changed, nothing written.
before=$(sha256sum <a.vhdx)
editor true
expect 0 "$V" meta edit a.vhdx content </dev/null
[ "$before" = "$(sha256sum <a.vhdx)" ] || fail "written without a change"

# Wrong: told, the text stays, and nothing is stored.
editor 'sed -i "s|<title>.*</title>|<titel>Wrong</titel>|" "$1"'
expect 3 "$V" meta edit a.vhdx content </dev/null
says titel
says "holds the text"
grep -q '<titel>Wrong' tmp/* || fail "the text was lost"
[ "$before" = "$(sha256sum <a.vhdx)" ] || fail "something wrong was stored"
rm tmp/*
# Offered again, and mended.
editor 'if [ -e '"$T"'/once ]; then sed -i "s/titel/title/g" "$1"; else touch '"$T"'/once; sed -i "s/title>/titel>/g; s/Changed/Mended/" "$1"; fi'
expect 0 "$V" meta edit a.vhdx content <<<y
says "edit it again?"
expect 0 "$V" meta get a.vhdx title
[ "$(cat out)" = Mended ] || fail "mended"
rm -f once
expect 3 "$V" meta edit a.vhdx content <<<n
rm -f tmp/* once

# The editor fails; the document changes meanwhile; the image is taken away.
editor 'exit 3'
expect 1 "$V" meta edit a.vhdx content </dev/null
says "exit 3"
editor 'sed -i s/Mended/Mine/ "$1"; '"$V"' meta set '"$T"'/a.vhdx title=Theirs'
expect 5 "$V" meta edit a.vhdx content </dev/null
says "somebody else"
grep -q Mine tmp/vdtool-content-*.xml || fail "the text was lost"
expect 0 "$V" meta get a.vhdx title
[ "$(cat out)" = Theirs ] || fail "their edit was overwritten"
expect 1 "$V" meta edit missing.vhdx content </dev/null
expect 2 "$V" meta edit a.vhdx nosuch </dev/null

# A vendor's document.
editor 'echo "<z xmlns=\"urn:example:z\"/>" >"$1"'
expect 0 "$V" meta edit a.vhdx urn:example:z </dev/null
expect 0 "$V" meta get a.vhdx urn:example:z
