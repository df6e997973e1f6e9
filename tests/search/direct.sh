#!/bin/bash
# SPDX-License-Identifier: MIT
# vdtool search without a catalog: what counts as an image, what comes out and how, exit codes.
. "$(dirname "$0")/../support/cli.sh"
need jq mke2fs

# search CODE WORDS...: it exits so; the paths that it found are in $T/paths, sorted.
search()
{
	local code=$1
	shift
	expect "$code" "$V" search --print0 "$@"
	tr '\0' '\n' <out | LC_ALL=C sort >paths
}
found()
{
	local have
	have=$(tr '\n' ' ' <paths)
	[ "$have" = "$*${*:+ }" ] || fail "found \"$have\" instead of \"$*\""
}

# ---- what is an image
mkdir -p s/a s/b/deep s/.hidden far
"$V" create -q s/a/web.vhdx 8M
"$V" tag -q s/a/web.vhdx +web env=prod
"$V" meta set -q s/a/web.vhdx title="Web server" hardware.memory=4G
"$V" meta set -q s/a/web.vhdx package+=pkg:deb/debian/openssl@3.0.11-1~deb12u2 \
	package+=pkg:deb/debian/nginx@1.22.1-9
cp s/a/web.vhdx s/b/deep/noending
cp s/a/web.vhdx s/.hidden/.dot.avhdx
truncate -s 4M s/b/disk.raw s/b/DISK2.IMG s/b/backup.bin s/b/plain.bin s/b/sub.iso
"$V" tag -q s/b/disk.raw +web
"$V" tag -q s/b/DISK2.IMG +db
"$V" tag -q s/b/backup.bin +web
"$V" tag -q s/b/sub.iso +web
# Not images: sidecars, notes, what is being written, what only looks like one, no plain files.
cp s/a/web.vhdx s/b/notes.txt
cp s/a/web.vhdx s/b/.web.vhdx.0badcafe.tmp
printf vhdxfile >s/b/short
mkdir s/b/folder.vhdx
ln -s a s/alias
ln -s a/web.vhdx s/link.vhdx
ln -s ../../far s/b/out
cp s/a/web.vhdx far/away.vhdx
search 0 '*' s
found s/.hidden/.dot.avhdx s/a/web.vhdx s/b/DISK2.IMG s/b/backup.bin s/b/deep/noending s/b/disk.raw s/b/sub.iso
search 0 tag:web s
found s/.hidden/.dot.avhdx s/a/web.vhdx s/b/backup.bin s/b/deep/noending s/b/disk.raw s/b/sub.iso
# Operands are images whatever their names, and may be links; slashes at the end don't come twice.
search 0 tag:web s/link.vhdx s/alias s/b/notes.txt far// ./far
found ./far/away.vhdx far//away.vhdx s/alias/web.vhdx s/b/notes.txt s/link.vhdx
search 0 tag:web s/a/
found s/a/web.vhdx

# ---- leaving out
search 0 tag:web s --exclude b
found s/.hidden/.dot.avhdx s/a/web.vhdx
search 0 tag:web --exclude '.*' s --exclude 's/b/d*' --exclude '*.iso'
found s/a/web.vhdx s/b/backup.bin
search 0 tag:web s/b --exclude s/b --exclude b --exclude backup.bin
found s/b/deep/noending s/b/disk.raw s/b/sub.iso
search 0 tag:web -x s/a
found s/a/web.vhdx

# ---- the question
search 0 'tag:env=prod AND package:openssl<3.0.12 AND NOT tag:db' s/a
found s/a/web.vhdx
search 6 'package:openssl<3.0.11' s
found
search 0 'web server' s/a
"$V" meta set -q s/a/web.vhdx expires=2027-01-01
search 6 "expires<now" s --at 2026-12-31
search 0 "expires<now" s --at 2027-01-02
found s/a/web.vhdx
expect 2 "$V" search "expires<now" s --at someday
says --at
"$V" meta remove -q s/a/web.vhdx expires
search 0 'image.format:raw tag:db' s
found s/b/DISK2.IMG
search 0 'image.modified>now-1d image.name:web.vhdx' s
found s/a/web.vhdx
touch -d 2001-02-03T04:05:06Z s/b/disk.raw
search 0 'image.modified:2001-02-03T04:05:06Z' s
found s/b/disk.raw
search 0 'metadata.place:sidecar' s
found s/b/DISK2.IMG s/b/backup.bin s/b/disk.raw s/b/sub.iso

# ---- a line for people
expect 0 "$V" search 'tag:env=prod AND package:openssl<3.0.12' s/a
[ "$(cat out)" = "s/a/web.vhdx    openssl 3.0.11-1~deb12u2" ] || fail "the line"
grep -qx '1 of 1 image, [0-9.]* s' err || fail "the closing line"
expect 0 "$V" search 'hardware.memory>1G (tag:web OR tag:db)' s/a s/b/DISK2.IMG
[ "$(cat out)" = "s/a/web.vhdx    hardware.memory=4 GiB, web" ] || fail "evidence"
grep -qx '1 of 2 images, [0-9.]* s' err || fail "the closing line"
# What was asked for isn't said again.
expect 0 "$V" search tag:web s/a -q
[ "$(cat out)" = s/a/web.vhdx ] || fail "says again what was asked"
silent
# Of an entry it is told which one, and why.
mkdir e
"$V" create -q e/cve.vhdx 8M
cat >patches.xml <<'END'
<patches xmlns="urn:libvdisk:patches:1">
  <open id="CVE-2026-1234" severity="critical" package="pkg:deb/debian/openssl@3.0.11"/>
  <open id="CVE-2026-99" severity="high" package="pkg:deb/debian/nginx@1.22"/>
  <open id="CVE-2026-7" severity="low"/>
</patches>
END
"$V" meta set -q e/cve.vhdx patches patches.xml
"$V" catalog sync --catalog e.db e >/dev/null
while IFS='|' read -r query want; do
	for how in "" "--catalog e.db"; do
		# shellcheck disable=SC2086
		expect 0 "$V" search -q "$query" e $how
		[ "$(cat out)" = "e/cve.vhdx      $want" ] || fail "$query $how: evidence of an entry"
	done
done <<'END'
cve.open{severity:critical}|CVE-2026-1234 (critical)
cve.open{severity>=high}|CVE-2026-1234 (critical), CVE-2026-99 (high)
cve.open{package:nginx severity>low}|CVE-2026-99 (nginx 1.22, high)
cve.open{.:CVE-2026-7 severity:low}|CVE-2026-7 (low)
cve.open{.:CVE-*}|CVE-2026-1234, CVE-2026-99, CVE-2026-7
END
expect 0 "$V" search --json "cve.open{severity:critical}" e
json '.[0].matches == [{field: "cve.open.severity", value: "critical", entry: "CVE-2026-1234"}]'
expect 6 "$V" search tag:nothing s
[ ! -s out ] || fail "prints something"
grep -qx '0 of 7 images, [0-9.]* s' err || fail "the closing line"
# 1,204 = 1 + 3 + 48 * 25 of them.
mkdir -p far/m/1
for i in {1..25}; do
	ln s/a/web.vhdx far/m/1/$i.vhdx
done
for i in {2..48}; do
	cp -al far/m/1 far/m/$i
done
ln s/a/web.vhdx far/2.vhdx
ln s/a/web.vhdx far/3.vhdx
ln s/a/web.vhdx far/4.vhdx
expect 0 "$V" search tag:web far
grep -qx '1,204 of 1,204 images, [0-9.]* s' err || fail "thousands"
[ "$(wc -l <out)" = 1204 ] || fail "lines"
for jobs in 1 2 7; do
	expect 0 "$V" search --count --jobs $jobs tag:web far
	[ "$(cat out)" = 1204 ] || fail "--jobs $jobs"
done
rm -r far/[1-9]*.vhdx far/m

# ---- order
expect 0 "$V" search --sort path -q '*' s
LC_ALL=C sort -c out || fail "--sort path"
[ "$(wc -l <out)" = 7 ] || fail "--sort path loses some"
expect 0 "$V" search --sort name --format '%{image.name}\n' '*' s
LC_ALL=C sort -c out || fail "--sort name"
expect 0 "$V" search --sort modified --format '%{image.modified}\n' '*' s
LC_ALL=C sort -c out || fail "--sort modified"
[ "$(head -1 out)" = 2001-02-03T04:05:06Z ] || fail "oldest first"
expect 0 "$V" search --sort size --format '%{image.file-size}\n' '*' s
sort -nc out || fail "--sort size"
expect 2 "$V" search --sort colour '*' s
says 'path|name|size|modified'

# ---- for programs
expect 0 "$V" search --json --sort path 'package:openssl<3.0.12' s
json 'map(.path) == ["s/.hidden/.dot.avhdx", "s/a/web.vhdx", "s/b/deep/noending"]'
json '.[1].matches == [{field: "package", value: "pkg:deb/debian/openssl@3.0.11-1~deb12u2"}]'
silent
expect 6 "$V" search --json tag:nothing s
json '. == []'
silent
expect 0 "$V" search --jsonl tag:web s
[ "$(jq -r .path out | wc -l)" = 6 ] || fail "--jsonl"
expect 0 "$V" search --count tag:web s
[ "$(cat out)" = 6 ] || fail "--count"
expect 6 "$V" search --count tag:nothing s
[ "$(cat out)" = 0 ] || fail "--count of nothing"
expect 0 "$V" search --count --json tag:web s
json '.[0].count == 6 and .[0].images == 7 and .[0].skipped == 0'
expect 0 "$V" search --format '%p\t%{tag}|%{title}|%{expires}|100%%\\\n' tag:web s/a
[ "$(cat out)" = "s/a/web.vhdx	env=prod,web|Web server||100%\\" ] || fail "--format"
for format in '%q' '%' '%{nofield}' '%{title' '\q' '\'; do
	expect 2 "$V" search --format "$format" tag:web s
	says --format
done
expect 2 "$V" search --format '%p %{nofield}' tag:web s
says nofield

# ---- commands
expect 0 "$V" search --sort path tag:web s/a s/b/deep --exec printf '<%s %s>\n' {} a{}b
[ "$(cat out)" = "<s/a/web.vhdx as/a/web.vhdxb>
<s/b/deep/noending as/b/deep/noendingb>" ] || fail "--exec"
expect 0 "$V" search -q tag:web s/a --exec sh -c 'cat; echo "$1" "$0"' '$(id)' {} ';'
[ "$(cat out)" = 's/a/web.vhdx $(id)' ] || fail "--exec knows a shell"
expect 1 "$V" search tag:web s --exec sh -c 'case $0 in s/a/*) exit 7 ;; esac' {}
says "1 of the commands"
expect 1 "$V" search tag:web s --exec no-such-command {}
says "no-such-command"
[ "$(wc -l <err)" = 1 ] || fail "tries again after a command that isn't there"
expect 6 "$V" search tag:nothing s --exec false {}
(cd s/a && cp web.vhdx ./-rf.vhdx && expect 0 "$V" search tag:web --exclude web.vhdx -- -rf.vhdx) ||
	fail "a file like an option"
(cd s/a && "$V" search -q tag:web ./-rf.vhdx --exec echo {} >"$T/out" && rm ./-rf.vhdx)
shows ./-rf.vhdx
for bad in "--exec" "--exec true" "--exec=true {}"; do
	# shellcheck disable=SC2086
	expect 2 "$V" search tag:web s $bad
	says --exec
done
for pair in "--json --print0" "--print0 --format %p" "--count --print0" "--jsonl --format %p"; do
	# shellcheck disable=SC2086
	expect 2 "$V" search tag:web s $pair
	says "which of them?"
done

# ---- XPath
expect 0 "$V" search --xpath '//content:title[contains(., "server")]' --sort path --format '%p\n' s
[ "$(cat out)" = "s/.hidden/.dot.avhdx
s/a/web.vhdx
s/b/deep/noending" ] || fail "--xpath"
expect 6 "$V" search --xpath '//content:title[.="x"]' s
expect 2 "$V" search --xpath '//content:title[' s
expect 2 "$V" search --xpath '//title'
says "PATH..."

# ---- questions that aren't
expect 2 "$V" search
expect 2 "$V" search tag:web
says "where?"
expect 2 "$V" search 'tag:web AND (title:x' s
grep -q '^  tag:web AND (title:x$' err || fail "the query isn't shown"
[ "$(sed -n '/^ *^$/=' err)" = 3 ] || fail "no caret"
[ ! -s out ] || fail "something on stdout"
expect 2 "$V" search 'tag:web nofield:x tag:db' s
[ "$(sed -n 3p err)" = "          ^" ] || fail "the caret isn't beneath nofield"
expect 2 "$V" search 'größe:1 tag:ü nofield:1' s
long=$(printf 'tag:x%.0s ' {1..100})
expect 2 "$V" search "$long nofield:x $long" s
[ "$(wc -L <err)" -lt 200 ] || fail "a long query isn't shown in part"
[ "$(sed -n 2p err | cut -c"$(sed -n 3p err | wc -c | awk '{ print $1 - 1 }')"-7000 | head -c 7)" = nofield ] ||
	fail "the caret isn't beneath nofield in a long query"
expect 2 "$V" search '' s
expect 2 "$V" search --json 'nofield:x' s
json '.[0].query == "nofield:x" and .[0].offset == 0'

# ---- what can't be read
echo vhdxfile >s/broken.vhdx
truncate -s 8M s/broken.vhdx
expect 0 "$V" search tag:web s
says s/broken.vhdx
grep -qx '6 of 8 images, [0-9.]* s (1 skipped)' err || fail "the closing line"
expect 6 "$V" search tag:nothing s
expect 1 "$V" search --strict tag:web s
expect 1 "$V" search --strict --json tag:nothing s
json '. == []'
says s/broken.vhdx
expect 0 "$V" search --count --json tag:web s
json '.[0].skipped == 1'
expect 6 "$V" search tag:web gone
says "gone: can't be looked into"
expect 1 "$V" search --strict tag:web gone s/a
shows s/a/web.vhdx

# ---- the file index
mkdir -p root/etc root/opt/app
echo secret >root/etc/passwd
echo jar >root/opt/app/log4j-core-2.14.1.jar
sum=$(sha256sum <root/etc/passwd | cut -d' ' -f1)
mke2fs -q -t ext4 -d root fs.raw 16M
"$V" convert -q fs.raw s/fs.vhdx
rm s/broken.vhdx
expect 6 "$V" search 'file:etc/passwd' s
says "8 images have no file index"
"$V" meta scan -q --files --digests s/fs.vhdx >scan.out
expect 0 "$V" search 'file:**/log4j-core-2.1[0-4]*.jar' s
[ "$(cat out)" = "s/fs.vhdx       /opt/app/log4j-core-2.14.1.jar" ] || fail "the file"
says "7 images have no file index"
expect 0 "$V" search --count "sha256:$sum" s
expect 6 "$V" search -q 'file:etc/shadow' s
silent
# A file term that the answer doesn't hang on reads nothing.
expect 0 "$V" search 'tag:db AND NOT file:etc/passwd' s
says "1 image has no file index"

# ---- names as they are: two blanks aren't one
mkdir names
truncate -s 1M 'names/two  blanks.raw'
expect 0 "$V" search -q 'image.name="two  blanks.raw"' names
expect 6 "$V" search -q 'image.name="two blanks.raw"' names
