#!/bin/bash
# SPDX-License-Identifier: MIT
# File indexes in a catalog: paths are kept once, images share parts, and what is dropped goes.
. "$(dirname "$0")/../support/cli.sh"
need jq sqlite3 mkfs.ext4
mkdir -p tree/etc tree/usr/lib/java im
for i in $(seq 1500); do echo "$i" >"tree/usr/lib/f$i.so"; done
echo 'root:x:0:0' >tree/etc/passwd
echo jar >tree/usr/lib/java/log4j-core-2.14.1.jar
truncate -s 32M base.raw
mkfs.ext4 -q -d tree base.raw
"$V" convert -q base.raw im/base.vhdx
"$V" meta scan -q --files --digests im/base.vhdx >/dev/null
for i in 1 2 3 4 5; do cp --sparse=always im/base.vhdx im/copy$i.vhdx; done
echo more >tree/usr/lib/java/other.jar
truncate -s 32M other.raw
mkfs.ext4 -q -d tree other.raw
"$V" convert -q other.raw im/other.vhdx
"$V" meta scan -q --files --digests im/other.vhdx >/dev/null
"$V" create -q im/none.vhdx 64M
sleep 0.1
expect 0 "$V" catalog sync -q --catalog c.db im
[ "$(sqlite3 c.db 'SELECT count(*) - count(DISTINCT path) FROM path')" = 0 ] || fail "a path twice"
parts=$(sqlite3 c.db 'SELECT count(*) FROM part')
paths=$(sqlite3 c.db 'SELECT count(*) FROM path')
[ "$paths" -gt 1500 ] || fail "$paths paths"
# Seven images, of which six are alike and one differs in a file: little more than one image's parts.
one=$(sqlite3 c.db "SELECT count(*) FROM part_path")
[ "$one" -lt $((paths + paths / 4)) ] || fail "images don't share their parts: $one of $paths"

finds() { # QUERY NUMBER
	local a b
	a=$("$V" search -q --count "$1" im 2>"$T/err" || true)
	b=$("$V" search -q --count --catalog c.db "$1" 2>"$T/err" || true)
	[ "$a" = "$2" ] && [ "$b" = "$2" ] || fail "$1: $a directly, $b by the catalog, not $2"
}
digest=$(sha256sum tree/usr/lib/java/other.jar | cut -d' ' -f1)
finds 'file:**/log4j-core-2.1[0-4]*.jar' 7
finds 'file:LOG4J-core-2.14.1.jar' 7
finds 'file:**/other.jar' 1
finds 'NOT file:**/other.jar' 7
finds "sha256:$digest" 1
finds "sha256:${digest//[0-9]/0}" 0
finds 'file:/etc/*' 7
finds 'file:*.j?r' 7
finds 'file:f1[0-9][0-9].so image.name:copy*' 5
expect 0 "$V" search --json --catalog c.db 'file:**/other.jar'
json '.[0].matches | tostring | contains("/usr/lib/java/other.jar")'

# When the one image goes, so does what only it had, with prune.
rm im/other.vhdx
expect 0 "$V" catalog sync -q --catalog c.db im
finds 'file:**/other.jar' 0
expect 0 "$V" catalog prune --catalog c.db
[ "$(sqlite3 c.db 'SELECT count(*) FROM part')" -lt "$parts" ] || fail "parts stayed"
[ "$(sqlite3 c.db "SELECT count(*) FROM path WHERE path LIKE '%other.jar'")" = 0 ] || fail "a path stayed"
finds 'file:**/log4j-core-2.1[0-4]*.jar' 6
echo "count: paths of a shared file index kept once $paths"
