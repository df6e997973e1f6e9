#!/bin/bash
# SPDX-License-Identifier: MIT
# vdtool policy check and list: each built-in rule denies its image and lets the twin pass; site
# rules come first; what can't be read denies. Nothing is written, in use or not.
. "$(dirname "$0")/../support/cli.sh"
need jq

cat >host.txt <<'END'
host.arch = x86_64
host.os.id = debian12
host.os.family = linux
host.os.version = 12.5
host.cpu.count = 4
host.memory = 4294967296
host.cpu.feature = sse2 avx
host.hypervisor = qemu
host.hypervisor.version = 7.2.22
END
ask()
{
	"$V" policy check --host host.txt --policy none --quiet "$@"
}

# ---- built-in rules: image, field=value that denies, field=value that doesn't
twins()
{
	local rule=$1 bad=$2 good=$3 says=$4 before
	"$V" create bad.vhdx 8M --force --quiet
	"$V" create good.vhdx 8M --force --quiet
	"$V" meta set bad.vhdx $bad
	"$V" meta set good.vhdx $good
	before=$(sha256sum bad.vhdx)
	expect 4 ask bad.vhdx
	silent
	grep -qx "bad.vhdx: denied by rule builtin:$rule: .*" out || fail "$rule: $bad"
	expect 4 ask --action mount-ro bad.vhdx
	for action in convert export compact edit; do
		expect 0 ask --action $action bad.vhdx
	done
	expect 4 "$V" policy explain --host host.txt --policy none -q bad.vhdx
	shows "$says"
	[ "$(sha256sum bad.vhdx)" = "$before" ] || fail "$rule: the image was written"
	expect 0 ask good.vhdx
	[ "$(cat out)" = "good.vhdx: allowed: no rule speaks against it" ] || fail "$rule: $good"
}
twins validity expires=2020-01-01 expires=+1d 'expires = 2020-01-01T00:00:00Z'
twins validity starts=+50h starts=2020-01-01 'which is in 2 days'
twins validity 'expires=2020-01-01 grace=1d' 'expires=2020-01-01 grace=36500d' 'grace = 86400'
twins hardware hardware.memory=8G hardware.memory=4G 'memory: needs 8 GiB, the host has 4 GiB'
twins hardware hardware.arch=aarch64 hardware.arch=i686 'arch: needs aarch64'
twins hardware hardware.cpu.feature=avx512f hardware.cpu.feature=AVX 'lacks avx512f'
twins host compatible.hypervisor=xen compatible.hypervisor=qemu "doesn't have it"
twins host 'compatible.os=debian12 compatible.os.min=13' 'compatible.os=debian compatible.os.min=12' 'older than 13'
twins patches 'cve.open=CVE-2026-1 cve.open.severity=critical' 'cve.open=CVE-2026-1 cve.open.severity=high' CVE-2026-1

# Damaged metadata: a sidecar that belongs to another image.
truncate -s 8M a.raw
truncate -s 16M b.raw
"$V" tag a.raw +web
cp a.raw.vdmeta b.raw.vdmeta
expect 0 ask a.raw
expect 4 ask b.raw
shows 'denied by rule builtin:metadata'

# A value that can't be read is damage: denied, but where no rule speaks of the action.
"$V" create unread.vhdx 8M -q
"$V" meta set unread.vhdx expires=2990-01-31
"$B/tests/meta/forge" document unread.vhdx validity 2990-01-31 29x0-01-31
for action in run mount-ro mount-rw; do
	expect 4 ask unread.vhdx --action $action
	shows "builtin:metadata"
done
expect 0 ask unread.vhdx --action export
expect 0 "$V" read unread.vhdx --length 512 --policy none
expect 4 ask unread.vhdx --action run --json
json '.[0].allowed == false and .[0].rule == "builtin:metadata"'

# ---- several images, JSON, time
expect 4 ask good.vhdx bad.vhdx a.raw
[ "$(wc -l <out)" = 3 ] || fail "a line for each image"
expect 1 ask good.vhdx no-such.vhdx bad.vhdx
"$V" meta set good.vhdx expires=2030-06-01T12:00:00Z
expect 0 ask good.vhdx --at 2030-06-01T11:59:59Z
expect 4 ask good.vhdx --at 2030-06-01T12:00:00Z
expect 4 ask good.vhdx --at 2030-06-01T14:00:00+02:00
expect 0 ask good.vhdx --at 2030-06-01
expect 4 ask good.vhdx --at +5000d --json
json 'length == 1 and (.[0] | .path == "good.vhdx" and .action == "run" and .allowed == false and
	.effect == "deny" and .rule == "builtin:validity" and .file == null and
	.facts == ["expires = 2030-06-01T12:00:00Z"] and .nearest == [] and (has("steps") | not))'
for wrong in yesterday 2030-13-01 +5 +5y 5d ''; do
	expect 2 ask good.vhdx --at "$wrong"
	says "is no time"
done
expect 2 ask good.vhdx --action fly
expect 2 "$V" policy check
expect 2 "$V" policy
expect 2 "$V" policy frobnicate
expect 2 "$V" policy check --host no-such-host good.vhdx

# ---- site rules
mkdir site
cat >site/20.xml <<'END'
<policy xmlns="urn:libvdisk:policy:1">
  <rule id="lab" actions="run" effect="allow"><when>tag:lab</when></rule>
  <rule id="frozen" actions="*" effect="read-only">
    <when>tag:archive</when>
    <reason>archived images don't change</reason>
  </rule>
</policy>
END
"$V" tag bad.vhdx +lab
expect 0 ask bad.vhdx --policy site
[ "$(cat out)" = "bad.vhdx: allowed by rule lab (site/20.xml:2)" ] || fail "the site's rule comes first"
expect 4 ask bad.vhdx --policy site --action mount-rw
shows builtin:patches
"$V" tag good.vhdx +archive
expect 0 ask good.vhdx --policy site --action convert
expect 4 ask good.vhdx --policy site --action edit
shows "denied by rule frozen (site/20.xml:3), which allows only to read: archived images don't change"
cat >site/10.xml <<'END'
<policy xmlns="urn:libvdisk:policy:1"><off rule="builtin:patches"/><off rule="lab"/></policy>
END
expect 0 ask bad.vhdx --policy site
shows 'no rule speaks against it'

# ---- list
expect 0 "$V" policy list --policy site
shows "frozen  site/20.xml:3"
shows "read-only: *"
shows "when: tag:archive"
if grep -q 'builtin:patches\|^lab' out; then fail "a rule that is off is listed"; fi
expect 0 "$V" policy list --policy site --json
json '.[0].fault == null and (.[0].rules | map(.id)) ==
	["frozen", "builtin:metadata", "builtin:validity", "builtin:hardware", "builtin:host"]'

# A folder that isn't there is said, but no fault: the built-in rules hold.
expect 0 "$V" policy list --policy none
says "no such folder"
[ "$(grep -c '^builtin:' out)" = 5 ] || fail "five built-in rules"
echo "<policy" >site/30.xml
expect 1 "$V" policy list --policy site
says "site/30.xml:2: "
expect 1 "$V" policy list --policy site --json
json '.[0].rules == [] and (.[0].fault | startswith("site/30.xml:2: "))'
for action in run mount-ro mount-rw convert export compact edit; do
	expect 4 ask good.vhdx --policy site --action $action
	shows "denied: the rules can't be used: site/30.xml:2: "
done

# An image that somebody writes to is looked at all the same.
rm site/30.xml
exec 9<>bad.vhdx
flock -n 9 || true
expect 0 ask bad.vhdx --policy site
no_leftovers
