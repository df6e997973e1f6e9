#!/bin/bash
# SPDX-License-Identifier: MIT
# meta set, get, remove, list, strip with fields and documents; fields; inspect of it all.
. "$(dirname "$0")/../support/cli.sh"
need jq

"$V" create a.vhdx 8M

# ---- fields
expect 0 "$V" fields
grep -qE '^hardware\.memory +size +hardware ' out || fail "hardware.memory isn't listed"
grep -qE '^tag +text +tags ' out || fail "tag isn't listed"
grep -qE '^image\.name +text +\(image\) ' out || fail "image.name isn't listed"
grep -qE '^host\.cpu\.feature +text +\(host\) ' out || fail "host.cpu.feature isn't listed"
expect 0 "$V" fields validity
[ "$(grep -cE ' validity ' out)" = "$(($(wc -l <out) - 1))" ] || fail "fields of one category"
expect 0 "$V" fields --json
json 'length == 1 and (.[0].fields | length) > 50'
json '.[0].fields[] | select(.name == "image.virtual-size") | .type == "size" and .category == null'
json '.[0].fields[] | select(.name == "expires") | .type == "time" and .category == "validity"'
expect 1 "$V" fields no.such
says "no such field"

# ---- set and get
expect 0 "$V" meta set a.vhdx hardware.memory=2G expires=2027-05-22 title='Web server'
silent
expect 0 "$V" meta get a.vhdx hardware.memory
[ "$(cat out)" = 2147483648 ] || fail "memory"
expect 0 "$V" meta get a.vhdx expires
[ "$(cat out)" = 2027-05-22T00:00:00Z ] || fail "expires"
expect 0 "$V" meta get a.vhdx 'hardware.*'
[ "$(cat out)" = hardware.memory=2147483648 ] || fail "hardware.*"
expect 0 "$V" meta get --json a.vhdx title
json '.[0] | .path == "a.vhdx" and .fields == {title: ["Web server"]}'
expect 1 "$V" meta get a.vhdx os.id
expect 2 "$V" meta get a.vhdx no.such.field
expect 2 "$V" meta set a.vhdx no.such.field=1
says "vdtool fields"
expect 2 "$V" meta set a.vhdx hardware.memory=much
expect 2 "$V" meta set a.vhdx hardware.memory
expect 2 "$V" meta set a.vhdx

# All or nothing.
expect 2 "$V" meta set a.vhdx title=New hardware.memory=much
expect 0 "$V" meta get a.vhdx title
[ "$(cat out)" = "Web server" ] || fail "half of it was set"

# Lists.
expect 0 "$V" meta set a.vhdx author=Ann author+=Bob
expect 0 "$V" meta get a.vhdx author
[ "$(cat out)" = $'Ann\nBob' ] || fail "author+="
expect 0 "$V" meta set a.vhdx author-=Ann
expect 0 "$V" meta get a.vhdx author
[ "$(cat out)" = Bob ] || fail "author-="

# ---- documents
cat >host.xml <<X
<?xml version="1.0" encoding="UTF-8"?>
<host xmlns="urn:libvdisk:host:1">
  <hypervisor id="qemu" min="7.2"/>
  <v:note xmlns:v="urn:example:v">kept</v:note>
</host>
X
expect 0 "$V" meta set a.vhdx host host.xml
expect 0 "$V" meta get a.vhdx host
cmp -s out host.xml || fail "the document isn't the same"
expect 0 "$V" meta get a.vhdx urn:libvdisk:host:1
cmp -s out host.xml || fail "by namespace"
expect 0 "$V" meta get --json a.vhdx host
json '.[0].document | test("urn:example:v")'
expect 0 "$V" meta get a.vhdx compatible.hypervisor.min
[ "$(cat out)" = 7.2 ] || fail "compatible.hypervisor.min"
expect 0 "$V" meta set a.vhdx host - <host.xml
sed 's/id="qemu"/idd="qemu"/' host.xml >wrong.xml
expect 3 "$V" meta set a.vhdx host wrong.xml
says "line 3"
expect 3 "$V" meta set a.vhdx tags host.xml
expect 1 "$V" meta set a.vhdx host nowhere.xml
expect 2 "$V" meta set a.vhdx nosuch host.xml
echo '<!DOCTYPE x [<!ENTITY a "b">]><host xmlns="urn:libvdisk:host:1"/>' >dtd.xml
expect 3 "$V" meta set a.vhdx host dtd.xml
head -c 2M /dev/zero >big.xml
expect 1 "$V" meta set a.vhdx host big.xml
says "1048576"
expect 0 "$V" meta get a.vhdx host
cmp -s out host.xml || fail "a wrong document was stored"
expect 0 "$V" meta set a.vhdx urn:example:vendor - <<<'<x xmlns="urn:example:vendor"><y z="1"/></x>'
expect 0 "$V" meta get a.vhdx urn:example:vendor
shows '<y z="1"/>'
expect 3 "$V" meta set a.vhdx urn:example:vendor - <<<'<x xmlns="urn:example:other"/>'
expect 1 "$V" meta get a.vhdx rights

# ---- list
expect 0 "$V" meta list a.vhdx
grep -qE '^  document +disk .* host$' out || fail "host isn't listed"
grep -qE '^  document +.* urn:example:vendor$' out || fail "the vendor's isn't listed"
expect 0 "$V" meta list --json a.vhdx
json '.[0] | .place == "items" and .sidecar == null'
json '[.[0].records[] | select(.type == "document") | .kind] | index("host") and index("content")'
json '.[0].records | all(.blake2b | length == 64)'
json '.[0].records[] | select(.type == "history") | .scope == "file"'

# ---- inspect
expect 0 "$V" inspect a.vhdx
shows "title     Web server"
shows "needs     2 GiB memory"
grep -qE 'expires +2027-05-22 \((in [0-9]+ days?|today|expired)' out || fail "expires"
if grep -q '^  unknown' out; then fail "our own items are shown as unknown"; fi
expect 0 "$V" inspect --json a.vhdx
json '.[0].metadata | .tags == {words: [], pairs: {}} and .signatures == [] and .history_len > 3'
json '.[0].metadata.hardware["hardware.memory"] == [2147483648]'
json '.[0].metadata.validity.expires == "2027-05-22T00:00:00Z"'
json '.[0].metadata.host["compatible.hypervisor"] == ["qemu"]'
json '.[0].metadata | has("urn:example:vendor")'
json '.[0].unknown_items == 0'
"$V" create plain.vhdx 8M
expect 0 "$V" inspect --json plain.vhdx
json '.[0].metadata == null'

# Expired, and near it.
day=$(date -u -d '-3 days' +%Y-%m-%d)
"$V" meta set a.vhdx expires="$day"
expect 0 "$V" inspect a.vhdx
shows "$day (expired 3 days ago)"
"$V" meta set a.vhdx expires=+180d
expect 0 "$V" inspect a.vhdx
shows "(in 180 days)"

# Patches in one line.
"$V" meta set a.vhdx patches - <<X
<patches xmlns="urn:libvdisk:patches:1">
  <missing>DSA-1</missing><missing>DSA-2</missing>
  <open id="CVE-2026-1234" severity="critical" package="pkg:deb/debian/openssl@3.0.11?arch=amd64"/>
  <open id="CVE-2026-9" severity="low"/>
</patches>
X
expect 0 "$V" inspect a.vhdx
shows "patches   2 missing, 2 open, 1 critical: CVE-2026-1234 (openssl 3.0.11)"

# ---- remove
expect 0 "$V" meta remove a.vhdx title
expect 1 "$V" meta get a.vhdx title
expect 0 "$V" meta get a.vhdx author
expect 0 "$V" meta remove a.vhdx host urn:example:vendor
expect 1 "$V" meta get a.vhdx host
expect 1 "$V" meta remove a.vhdx host
expect 2 "$V" meta remove a.vhdx nosuch

# ---- strip
expect 0 "$V" meta strip a.vhdx
expect 0 "$V" meta list --json a.vhdx
json '.[0].records == []'
expect 0 "$V" log --json a.vhdx
json '.[0].entries == []'
expect 0 "$V" inspect --json a.vhdx
json '.[0].metadata == null'
expect 0 "$V" check a.vhdx

# ---- wrong usage of verbs
expect 2 "$V" meta
says "which verb"
expect 2 "$V" meta frobnicate a.vhdx
says 'there is no verb "frobnicate"'
expect 2 "$V" meta get a.vhdx
expect 2 "$V" meta get --nonsense a.vhdx x
