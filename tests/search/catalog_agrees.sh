#!/bin/bash
# SPDX-License-Identifier: MIT
# The catalog gives the answer that looking into each image gives: paths, reasons, exit code.
. "$(dirname "$0")/../support/cli.sh"
need jq
"$B/tests/search/generate_images" "$T" 120
sleep 0.1
expect 0 "$V" catalog sync -q --catalog c.db images
n=0
while IFS= read -r query; do
	a=0 b=0
	"$V" search --json "$query" images >direct 2>direct.err || a=$?
	"$V" search --json "$query" images --catalog c.db >catalog 2>catalog.err || b=$?
	jq -S 'sort_by(.path, .path_b64)' direct >direct.sorted
	jq -S 'sort_by(.path, .path_b64)' catalog >catalog.sorted
	cmp -s direct.sorted catalog.sorted || { diff direct.sorted catalog.sorted | head -20; fail "$query"; }
	[ "$a" = "$b" ] || fail "exit $a and $b: $query"
	cmp -s <(sort direct.err) <(sort catalog.err) || { diff direct.err catalog.err | head; fail "stderr: $query"; }
	n=$((n + 1))
done <<'QUERIES'
*
NOT *
tag:web
tag:env=prod
tag:env
NOT tag:env
tag!=web
tag:n*
tag:e?v=*
web
"web server"
ng*x
server NOT tag:web
a
title:*
title:server
NOT title:*
os.id:debian12
os.id!=debian12
os:*
os.version>=12
package:openssl
package:openssl<3.0.11
package:openssl<3.0.11 OR tag:web
package:open*>=1
package:deb/debian/openssl
NOT package:*
cve.open{severity:critical}
cve.open{severity>=high package:openssl}
cve.open{NOT severity:critical}
NOT cve.open{NOT severity<=critical}
NOT (cve.open{NOT severity:critical} AND web)
NOT cve.open{severity:critical}
cve.open.severity>=high
expires<now
expires>now-90d
NOT expires<now
hardware.memory>=2G
hardware.memory:*
hardware:x86_64
filesystem{type:ext4 mount:/}
image.format:vhdx
image.name:img*
image.path:*d1/*
image.modified>now-1d
image.modified<now-1d
image.file-size>1M
image.virtual-size>=1G
metadata.damaged:true
metadata.damaged=false
metadata.place:sidecar
metadata.records>2
file:**
file:etc/passwd
file:**/*.conf
file:**/lib*
NOT file:**
file:a
file:etc/passwd AND tag:web
file:etc/passwd OR tag:web
NOT (file:etc/passwd OR tag:web)
sha256:0020202020202020202020202020202020202020202020202020202020202020
NOT sha256:0020202020202020202020202020202020202020202020202020202020202020
QUERIES
# Below a folder, however it is written; all fields for --format.
for where in images/d1 images/d1/ ./images/d1 "$T/images/d1"; do
	"$V" search --sort path --format '%p %{os.id} %{tag} %{image.path}\n' '*' "$where" >direct 2>/dev/null
	"$V" search --sort path --format '%p %{os.id} %{tag} %{image.path}\n' '*' "$where" --catalog c.db >catalog 2>/dev/null
	[ -s direct ] || fail "nothing in $where"
	cmp direct catalog || fail "below $where"
done
echo "count: queries that direct search and catalog answer alike $n"
