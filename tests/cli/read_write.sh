#!/bin/bash
# SPDX-License-Identifier: MIT
# read and write: the right bytes at the right place, ends and errors.
. "$(dirname "$0")/../support/cli.sh"
need jq

"$V" create a.vhdx 16M
truncate -s 16M model
put() # OFFSET SEED BYTES
{
	pattern "$2" "$3" >piece
	expect 0 "$V" write --offset "$1" a.vhdx <piece
	dd if=piece of=model bs=64K seek="$1" oflag=seek_bytes conv=notrunc status=none
}
put 0 1 1
put 511 2 2
put 4096 3 4096
put 1048575 4 2097154 # over the ends of two blocks
put 5000001 5 77777
put $((16 * 1048576 - 3)) 6 3
"$V" read a.vhdx | cmp - model || fail "content"
for range in "0 1" "511 3" "1048576 1048576" "5000000 80000" "16777213 3" "100 0"; do
	read -r offset length <<<"$range"
	"$V" read -o "$offset" -l "$length" a.vhdx |
		cmp - <(tail -c +$((offset + 1)) model | head -c "$length") || fail "read $range"
done
"$V" read --offset 15M a.vhdx | cmp - <(tail -c 1M model) || fail "read to the end"
expect 0 "$V" check a.vhdx

# The default of read's length is to the end; beyond it is an error before anything is read.
expect 0 "$V" read --offset 16M a.vhdx
[ ! -s out ] || fail "bytes from behind the end"
expect 2 "$V" read --offset 17M a.vhdx
says "beyond the end"
expect 2 "$V" read --offset 15M --length 2M a.vhdx

# write --length takes so much, and wants it.
got=0
"$V" write --length 5 a.vhdx <<<"0123456789" || got=$?
[ $got = 0 ] || fail "write --length: $got"
[ "$("$V" read --length 5 a.vhdx)" = 01234 ] || fail "write --length wrote something else"
got=0
printf abc | "$V" write --length 5 a.vhdx 2>err || got=$?
[ $got = 1 ] || fail "short stdin: $got"
says "ended after 3 bytes of 5"

# More than fits: a file is refused before the first byte, a pipe when the end is reached.
sum=$("$V" read a.vhdx | sha256sum)
pattern 7 2M >big
expect 1 "$V" write --offset 15M a.vhdx <big
says "nothing was written"
[ "$sum" = "$("$V" read a.vhdx | sha256sum)" ] || fail "something was written"
got=0
pattern 7 2M | "$V" write --offset 15M a.vhdx 2>err || got=$?
[ $got = 1 ] || fail "pipe beyond the end: $got"
says "goes on"

expect 0 "$V" write --json --offset 1M a.vhdx <piece
json '.[0] | .path == "a.vhdx" and .offset == 1048576 and .length == 3'

# raw, and a probed raw image doesn't turn into another format.
"$V" create --format raw r.raw 4M
pattern 8 1M | "$V" write --offset 1M r.raw
cmp <(tail -c +1048577 r.raw | head -c 1M) <(pattern 8 1M) || fail "raw"
got=0
printf 'vhdxfile' | "$V" write r.raw 2>err || got=$?
[ $got = 4 ] || fail "a probed raw image took another format's signature: $got"
printf 'vhdxfile' | "$V" write --source-format raw r.raw || fail "forced raw refuses a signature"

# A reader that leaves early is no error worth a word.
(
	got=0
	"$V" read a.vhdx 2>err || got=$?
	echo $got >code
) | head -c 1 >/dev/null
[ "$(cat code)" = 141 ] || fail "EPIPE: exit $(cat code)"
silent
(
	trap '' PIPE
	got=0
	"$V" read a.vhdx 2>err || got=$?
	echo $got >code
) | head -c 1 >/dev/null
[ "$(cat code)" = 141 ] || fail "EPIPE with SIGPIPE ignored: exit $(cat code)"
silent
got=0
"$V" read a.vhdx 2>err >/dev/full || got=$?
[ $got = 1 ] || fail "full stdout: $got"
says "standard output"

# Ctrl-C: what was written stays, and the image is left clean.
mkfifo pipe
set -m
"$V" write --offset 8M a.vhdx <pipe 2>err &
child=$!
set +m
exec 9>pipe
pattern 9 1M >&9
is_in_use()
{
	"$V" inspect --json a.vhdx | jq -e '.[0].in_use != null'
}
wait_for is_in_use
# It has taken all of it, and waits for more.
is_waiting() { grep -q "^State:.S" "/proc/$child/status"; }
sleep 0.1
wait_for is_waiting
kill -INT $child
got=0
wait $child || got=$?
exec 9>&-
[ $got = 130 ] || fail "SIGINT: exit $got"
expect 0 "$V" inspect --json a.vhdx
json '.[0].dirty_log == false'
"$V" read --offset 8M --length 1M a.vhdx | cmp - <(pattern 9 1M) || fail "SIGINT lost what was written"
expect 0 "$V" check a.vhdx
