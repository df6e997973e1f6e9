#!/bin/bash
# SPDX-License-Identifier: MIT
# Names, metadata and trees of folders made to hurt: a search ends, says what it left out, runs
# nothing, and sends nothing raw to a terminal.
. "$(dirname "$0")/../support/cli.sh"
need jq perl
item=$B/tests/meta/itemctl

# Nothing in it steers a terminal, and all of it is UTF-8.
harmless()
{
	local file
	for file; do
		if LC_ALL=C grep -qaP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]' "$file"; then
			fail "raw control characters in $file"
		fi
		iconv -f UTF-8 -t UTF-8 "$file" >/dev/null || fail "$file isn't UTF-8"
	done
}
# hunt CODE WORDS...: what it prints is harmless, and it doesn't take long.
hunt()
{
	expect "$1" timeout 100 "$V" search "${@:2}"
	harmless out err
}

# ---- names
mkdir -p "n/fol"$'\n'"der" "n/"$'\e]0;owned\a'
"$V" create -q good.vhdx 8M
"$V" tag -q good.vhdx +web
names=($'new\nline.vhdx' $'esc\e[31mred\a.vhdx' $'\xff\xfe\x80.vhdx' $'rtl\xe2\x80\xaegpj.vhdx' $'c1\xc2\x9b2J.vhdx'
	$'tab\tcr\r.vhdx' '-rf.vhdx' '$(touch owned);.vhdx' "' OR '1'='1.vhdx" '%p%{tag}\n.vhdx' '{}.vhdx'
	"fol"$'\n'"der/in.vhdx" $'\e]0;owned\a/in.vhdx')
for name in "${names[@]}"; do
	cp --sparse=always good.vhdx "n/$name"
done
hunt 0 tag:web n
[ "$(wc -l <out)" = ${#names[@]} ] || fail "a line an image"
shows '\x1b[31mred\x07'
shows '\xff\xfe\x80.vhdx'
shows 'new\x0aline.vhdx'
shows 'rtl\u{202e}gpj'
hunt 0 --format '%p %{image.name}\n' --sort path tag:web n
[ "$(wc -l <out)" = ${#names[@]} ] || fail "a line an image in --format"
expect 0 "$V" search --json tag:web n
json "length == ${#names[@]}"
# What isn't UTF-8 comes exactly as path_b64, and byte by byte with --print0 and --exec.
[ "$(jq -r '.[] | select(.path_b64) | .path_b64' out | base64 -d)" = $'n/\xff\xfe\x80.vhdx' ] || fail "path_b64"
printf 'n/%s\n' "${names[@]//$'\n'/@}" | LC_ALL=C sort >want
"$V" search --print0 tag:web n | tr '\n' '@' | tr '\0' '\n' | LC_ALL=C sort >have
cmp want have || fail "--print0"
"$V" search tag:web n --exec printf '%s\0' {} | tr '\n' '@' | tr '\0' '\n' | LC_ALL=C sort >have
cmp want have || fail "--exec"
[ ! -e owned ] && [ ! -e n/owned ] || fail "a name was run"
if script -qec true /dev/null </dev/null >/dev/null 2>&1; then
	for how in "" --print0 --json; do
		script -qec "stty cols 60; $V search $how tag:web n" /dev/null </dev/null | tr -d '\r\0' >tty
		[ -s tty ] || fail "nothing on the terminal: $how"
		harmless tty
	done
else
	echo "a terminal: left out, there are none here"
fi
for name in "${names[@]}"; do
	echo vhdxfile >"n/$name"
	truncate -s 4M "n/$name"
done
hunt 6 tag:web n
[ "$(wc -l <err)" = $((${#names[@]} + 1)) ] || fail "a line for each that can't be read"
hunt 2 tag:web$'\e[2J(\a\n' n
hunt 2 $'tag:\xff' n
hunt 6 --exclude $'*\e*' tag:web n

# ---- texts
c1=$'\xc2\x9b' rlo=$'\xe2\x80\xae'
mkdir t
"$V" create -q t/a.vhdx 8M
"$V" tag -q t/a.vhdx "+x${c1}31m" "k=${rlo}v" "sql=' OR 1=1 --" 'xp=") or ("' 'fmt=%{title}'
"$V" meta set -q t/a.vhdx title="evil${c1}31m${rlo}gpj.exe" description="two
lines" package+='pkg:deb/debian/p%1b%5b31m%00@1%0a%9b2%2525'
hunt 0 'tag:* title:* description:* package:*' t
[ "$(wc -l <out)" = 1 ] || fail "a value begins a line"
shows '\x9b31m'
hunt 0 --format '%{title}|%{description}|%{tag}|%{package}\n' '*' t
[ "$(wc -l <out)" = 1 ] || fail "a value begins a line in --format"
hunt 0 "tag:\"sql=' OR 1=1 --\"" t
hunt 6 "tag:\"sql=x' OR 1=1 --\"" t
hunt 0 'tag:"xp=\") or (\""' t
hunt 0 'tag:"fmt=%{title}"' t
expect 0 "$V" search --json 'title:*' t
json '.[0].matches[0].value == "evil\u009b31m\u202egpj.exe"'

# ---- as many facts as there may be, and one more
many()
{
	printf '<tags xmlns="urn:libvdisk:tags:1">'
	seq "$1" | awk '{ printf "<tag>%x</tag>", $1 }'
	echo '</tags>'
}
mkdir b
"$V" create -q b/full.vhdx 8M
many 65535 | "$V" meta set -q b/full.vhdx tags - || fail "65535 tags and a history"
expect 1 "$V" tag b/full.vhdx +onemore
says "65536 facts"
hunt 0 --format '%p' 'tag:ffff AND tag:1 AND NOT tag:10000' b
hunt 0 'tag:*f*' b
[ "$(wc -c <out)" -lt 10000 ] || fail "evidence without a bound"
"$V" create -q b/donor.vhdx 8M
"$V" meta set -q b/donor.vhdx hardware.memory=1G
id=$("$V" meta list --json b/donor.vhdx | jq -r '.[0].records[] | select(.kind == "hardware") | .id')
cp b/full.vhdx b/over.vhdx
"$item" get b/donor.vhdx "$id" | "$item" put b/over.vhdx "$id" 3
hunt 0 'tag:ffff' b
says "b/over.vhdx: "
says "65536"
says "(1 skipped)"
expect 0 "$V" search --format '%p\n' 'NOT hardware.memory<1M' b --sort path
[ "$(cat out)" = "b/donor.vhdx
b/full.vhdx" ] || fail "one over the bound"

# ---- questions made to hurt
# A thousand terms that no index of a catalog answers, of 65,535 values: as long as without a catalog.
"$V" catalog sync -q --catalog b.db b >/dev/null 2>&1
hunt 0 --catalog b.db "$(printf 'tag:%x OR ' {1..1000})tag:ffff"
shows b/full.vhdx
hunt 2 "$(head -c 70000 /dev/zero | tr '\0' x)" t
hunt 2 "$(head -c 1000 /dev/zero | tr '\0' '(')x" t
hunt 2 "tag:\"unclosed" t
glob=$(printf '*a%.0s' {1..400})
hunt 6 "tag:${glob}b OR title:${glob}b" b t
hunt 2 --xpath "document('/etc/passwd')//x" t
hunt 6 --xpath '//content:title[.="'"' or '1'='1"'"]' t
# Too many operations: said, and the next image has its turn.
hunt 0 --xpath '//content:title | //tags:tag[count(//tags:tag[count(//tags:tag) > 0]) > 0]' t b
shows t/a.vhdx
says "b/full.vhdx: "

# ---- what isn't a file, and ways that lead nowhere
mkdir -p d/sub/subsub
cp good.vhdx d/sub/subsub/good.vhdx
mkfifo d/fifo.vhdx
perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0) && bind(S, pack_sockaddr_un("d/sock.vhdx")) or die $!'
ln -s . d/sub/dot
ln -s .. d/sub/up
ln -s "$T/d" d/sub/subsub/top
ln -s loop d/loop
ln -s ../../t/a.vhdx d/sub/out.vhdx
ln -s /dev/zero d/sub/zero.vhdx
if [ "$(id -u)" = 0 ]; then
	mknod d/zero.img c 1 5 && mknod d/tty.raw c 5 0
fi
hunt 0 '*' d
[ "$(cat out)" = d/sub/subsub/good.vhdx ] || fail "more than the one image"
grep -qx '1 of 1 image, [0-9.]* s' err || fail "something is counted"
# Named themselves, they are told; nobody waits for them.
hunt 6 --timeout 5 '*' d/fifo.vhdx d/sock.vhdx d/loop /dev/zero d/sub/zero.vhdx
says "FIFO"
says "(5 skipped)"
deep=d
for _ in {1..140}; do
	deep=$deep/x
done
mkdir -p "$deep"
cp good.vhdx "$deep"/hidden.vhdx
hunt 0 '*' d
[ "$(wc -l <out)" = 1 ] || fail "goes too deep"
says "too many folders deep"
rm -r d/x

# ---- no rights
mkdir -p r/closed r/open
cp good.vhdx r/closed/a.vhdx
cp good.vhdx r/open/a.vhdx
cp good.vhdx r/open/secret.vhdx
chmod 755 "$T" r r/open
chmod 000 r/closed r/open/secret.vhdx
drop=()
if [ "$(id -u)" = 0 ]; then
	drop=(setpriv --reuid 65534 --regid 65534 --clear-groups)
fi
if "${drop[@]}" "$V" --version >/dev/null 2>&1 && "${drop[@]}" test -r r/open/a.vhdx; then
	expect 0 "${drop[@]}" "$V" search tag:web r
	[ "$(cat out)" = r/open/a.vhdx ] || fail "what may be read"
	says "r/closed: can't be looked into: Permission denied"
	says "r/open/secret.vhdx: "
	says "(2 skipped)"
	expect 1 "${drop[@]}" "$V" search --strict tag:web r
else
	echo "no rights: left out, another user can't run $V"
fi
chmod 755 r/closed

# ---- ends that come early
mkdir e
for i in {1..300}; do
	ln good.vhdx e/$i.vhdx
done
code=0
{ "$V" search --print0 tag:web e || echo "$?" >code; } | head -c 1 >/dev/null
[ ! -e code ] || [ "$(cat code)" = 141 ] || fail "a closed pipe gives $(cat code)"
"$V" search tag:web e --exec sh -c 'echo "$PPID" >pid; sleep 0.2' {} >/dev/null 2>&1 &
wait_for test -s pid
kill -TERM "$(cat pid)"
code=0
wait $! || code=$?
[ "$code" = 143 ] || fail "SIGTERM gives $code"
if [ -e /dev/full ]; then
	code=0
	"$V" search tag:web e >/dev/full 2>err || code=$?
	[ "$code" = 1 ] || fail "a full disk gives $code"
	says "standard output"
fi
