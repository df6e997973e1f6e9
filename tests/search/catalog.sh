#!/bin/bash
# SPDX-License-Identifier: MIT
# A catalog follows its folders: unchanged images aren't opened; changed, moved, vanished, unreadable
# ones are noticed; what was interrupted goes on; searches work meanwhile; nobody else's file is taken.
. "$(dirname "$0")/../support/cli.sh"
need jq sqlite3 strace
mkdir -p im/sub
"$V" create -q im/one.vhdx 64M
"$V" tag -q im/one.vhdx +web env=prod >/dev/null
for name in two sub/three; do
	cp --sparse=always im/one.vhdx "im/$name.vhdx"
	"$V" tag -q "im/$name.vhdx" "n=${name#*/}" >/dev/null
done
truncate -s 1M im/four.raw
"$V" tag -q im/four.raw +raw >/dev/null
sleep 0.1

sync_with() { expect 0 "$V" catalog sync --catalog c.db --json "$@"; }
finds() { # QUERY NUMBER
	[ "$("$V" search -q --count --catalog c.db "$1" 2>"$T/err" || true)" = "$2" ] || fail "$1 doesn't find $2"
}

# What is new is read, for its owner only.
sync_with im
json '.[0].new == 4 and .[0].unchanged == 0'
[ "$(stat -c %a c.db)" = 600 ] || fail "others may read the catalog"
finds tag:web 3
finds tag:raw 1

# What is unchanged isn't opened, nor are sidecars.
strace -f -o trace -e trace=open,openat,openat2 "$V" catalog sync --catalog c.db --json im >out
json '.[0].unchanged == 4 and .[0].new == 0 and .[0].changed == 0'
if grep -E '\.(vhdx|raw|vdmeta)"' trace; then
	fail "an unchanged image was opened"
fi
echo "count: images opened by a sync of unchanged ones 0"
strace -f -o trace -e trace=openat "$V" search -q --catalog c.db tag:web >/dev/null
if grep -E '\.(vhdx|raw|vdmeta)"' trace; then
	fail "a search of the catalog opened an image"
fi

# A changed image, a changed sidecar.
"$V" tag -q im/one.vhdx +new >/dev/null
"$V" tag -q im/four.raw +new >/dev/null
sleep 0.1
sync_with im
json '.[0].changed == 2 and .[0].unchanged == 2'
finds tag:new 2
rm im/four.raw.vdmeta
sync_with im
json '.[0].changed == 1'
finds tag:raw 0

# One whose size and time of change were put back (cp -p, touch -d): its ctime tells.
touch -r im/one.vhdx stamp
was=$(stat -c '%s %.9Y' im/one.vhdx)
"$V" tag -q im/one.vhdx +hidden >/dev/null
touch -r stamp im/one.vhdx
[ "$(stat -c '%s %.9Y' im/one.vhdx)" = "$was" ] || fail "size or mtime differ"
sleep 0.1
sync_with im
json '.[0].changed == 1 and .[0].unchanged == 3'
finds tag:hidden 1
sync_with im
json '.[0].unchanged == 4'

# A moved one isn't opened; its name is the new one.
mv im/sub/three.vhdx im/drei.vhdx
strace -f -o trace -e trace=openat "$V" catalog sync --catalog c.db --json im >out
json '.[0].moved == 1 and .[0].vanished == 0 and .[0].unchanged == 3'
if grep -F 'drei.vhdx"' trace; then
	fail "a moved image was opened"
fi
finds image.name=drei.vhdx 1
finds image.name=three.vhdx 0
finds drei 1
# One that replaces another.
mv im/drei.vhdx im/two.vhdx
sync_with im
json '.[0].moved == 1 and .[0].images == 3'
finds tag:n=three 1
finds tag:n=two 0

# Vanished; but not if its folder can't be found, or read.
mkdir im/deep
cp --sparse=always im/one.vhdx im/deep/five.vhdx
sync_with im
rm im/two.vhdx
sync_with im
json '.[0].vanished == 1'
finds tag:n=three 0
mv im elsewhere
expect 1 "$V" catalog sync --catalog c.db im
says 'what the catalog knows of it stays'
finds tag:web 2
mv elsewhere im
if [ "$(id -u)" != 0 ]; then
	chmod 0 im/deep
	expect 0 "$V" catalog sync --catalog c.db im
	says 'what the catalog knows of it stays'
	finds tag:web 2
	chmod 755 im/deep
fi

# An unreadable one is told, remembered, and read again when it has changed.
{ printf vhdxfile; head -c 2M /dev/zero; } >im/bad.vhdx
sleep 0.1
expect 0 "$V" catalog sync --catalog c.db im
says bad.vhdx
sync_with im
silent
json '.[0].unreadable == 1 and .[0].unchanged == 4'
expect 1 "$V" catalog sync --catalog c.db --retry --strict im
says bad.vhdx
expect 0 "$V" catalog status --catalog c.db --json
json '.[0].images == 4 and (.[0].unreadable | length) == 1 and .[0].folders[0].complete'
expect 0 "$V" search --catalog c.db tag:web
says bad.vhdx

# Names that would be something in SQL, or aren't text; none of them does anything.
cp --sparse=always im/one.vhdx "im/x'); DROP TABLE image; --.vhdx"
cp --sparse=always im/one.vhdx im/$'line\nfeed.vhdx'
cp --sparse=always im/one.vhdx im/$'\xff\xfe.vhdx'
"$V" meta set -q "im/x'); DROP TABLE image; --.vhdx" "title='; DELETE FROM image; --" >/dev/null
sleep 0.1
sync_with im
json '.[0].new == 3'
sync_with im
json '.[0].unchanged == 7'
finds "title:\"'; DELETE FROM image; --\"" 1
finds "\"' OR 1=1 --\"" 0
expect 0 "$V" search --print0 --catalog c.db tag:web
[ "$(tr -dc '\0' <out | wc -c)" = 5 ] || fail "not five paths"
grep -qa $'\xff\xfe' out || fail "bytes of a path were changed"

# prune drops what is gone, and values that nobody has any more.
before=$(sqlite3 c.db 'SELECT count(*) FROM value')
rm im/x* im/line*
expect 0 "$V" catalog prune --catalog c.db --json
json '.[0].dropped == 2'
json '.[0].bytes <= .[0].bytes_before' # it makes no log of what it has just moved together
[ "$(sqlite3 c.db 'SELECT count(*) FROM value')" -lt "$before" ] || fail "values stayed"
[ "$(sqlite3 c.db 'PRAGMA integrity_check')" = ok ] || fail "the database is damaged"
finds tag:web 3

# Foreign, newer, damaged, missing, or of a kind that isn't there.
sqlite3 foreign.db 'CREATE TABLE t(x)'
expect 2 "$V" catalog sync --catalog foreign.db im
says 'database of another program'
cp c.db newer.db
sqlite3 newer.db 'PRAGMA user_version=99'
expect 1 "$V" catalog sync --catalog newer.db im
says 'version 99'
seq 100000 >text.db
cp text.db text.before
expect 2 "$V" catalog sync --catalog text.db im
says "isn't a catalog"
cmp text.db text.before
cp c.db torn.db
printf '\377%.0s' {1..4000} | dd of=torn.db bs=4096 seek=3 conv=notrunc status=none
rc=0
"$V" catalog sync --catalog torn.db im --retry >out 2>err || rc=$?
"$V" search --catalog torn.db '*' >out2 2>>err || rc=$((rc + $?))
[ "$rc" != 0 ] || fail "a damaged catalog was taken for a good one"
says damaged
expect 1 "$V" search --catalog none.db tag:web
says 'no such catalog'
expect 1 "$V" catalog sync --catalog postgresql://host/db im
says "aren't built in"
expect 2 "$V" catalog sync im
says '--catalog FILE is missing'

# No room is left: an error, and what was there stays.
cp c.db full.db
mkdir more
for i in $(seq 40); do cp --sparse=always im/one.vhdx more/$i.vhdx; done
rc=0
(ulimit -f 24; exec "$V" catalog sync --catalog full.db more) >out 2>err || rc=$?
[ "$rc" = 1 ] || fail "exit $rc with no room"
[ "$(sqlite3 full.db 'PRAGMA integrity_check')" = ok ] || fail "the database is damaged"
[ "$("$V" search -q --count --catalog full.db tag:web 2>/dev/null)" -ge 3 ] || fail "what was there is gone"

# Another sync makes it at this moment: the file has just appeared; and then its first transaction runs.
: >there.db
expect 0 strace -o trace -P "$T/there.db" -e trace=newfstatat,openat -e inject=newfstatat:error=ENOENT:when=1 \
	"$V" catalog sync -q --catalog "$T/there.db" more
grep -q EEXIST trace || fail "it was there before: $(cat trace)"
mkfifo hold
: >held.db
sqlite3 held.db <hold &
exec 8>hold
printf "BEGIN IMMEDIATE;\n.shell touch held\n" >&8
wait_for test -e held
"$V" catalog sync -q --catalog held.db more >out 2>err 8>&- &
pid=$!
sleep 0.3
echo "ROLLBACK;" >&8
exec 8>&-
wait $pid || fail "a sync doesn't wait for the one that makes the catalog: $(cat err)"
wait

# Interrupted, again and again, while others search: what was done is kept, the next one goes on.
rm -f c.db*
mkdir many
"$B/tests/bench/copies" im/one.vhdx many 0 600
sleep 0.1
n_cut=0
for delay in 0.02 0.04 0.06 0.1; do
	"$V" catalog sync -q --jobs 1 --catalog c.db many >out 2>err &
	pid=$!
	sleep "$delay"
	kill -TERM $pid 2>/dev/null || true
	rc=0
	wait $pid || rc=$?
	case $rc in 143) n_cut=$((n_cut + 1)) ;; 0) ;; *) fail "exit $rc" ;; esac
done
"$V" catalog sync -q --catalog c.db many >out 2>err &
pid=$!
wait_for test -s c.db
while kill -0 $pid 2>/dev/null; do
	"$V" search -q --count --catalog c.db tag:web >seen 2>err || [ "$(cat seen)" = 0 ] ||
		grep -q 'is empty' err || fail "a search beside the sync: $(cat err)"
done
wait $pid
finds tag:web 600
[ "$(sqlite3 c.db 'PRAGMA integrity_check')" = ok ] || fail "the database is damaged"
echo "count: syncs cut off by SIGTERM $n_cut"
