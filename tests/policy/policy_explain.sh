#!/bin/bash
# SPDX-License-Identifier: MIT
# vdtool policy explain: the rule and where it stands, the facts, what would have to change, the
# alternative that comes nearest, every rule that was asked.
. "$(dirname "$0")/../support/cli.sh"
need jq

mkdir site
cat >site/10-patches.xml <<'END'
<?xml version="1.0" encoding="UTF-8"?>
<policy xmlns="urn:libvdisk:policy:1">

  <rule id="critical-cve" actions="run mount-rw" effect="deny">
    <when>cve.open.severity:critical OR patched before now-90d</when>
    <reason>critical vulnerabilities are to be patched first</reason>
  </rule>
  <rule id="exports" actions="export" effect="deny">
    <when>tag:secret</when>
    <reason>it stays here</reason>
    <remedy>ask security@example.com</remedy>
  </rule>
</policy>
END
printf 'host.arch = x86_64\nhost.memory = 4294967296\nhost.cpu.count = 2\n' >host.txt
explain()
{
	"$V" policy explain --host host.txt --policy site "$@"
}
"$V" create web.vhdx 64M -q
"$V" meta set web.vhdx cve.open=CVE-2026-1234 cve.open.severity=critical \
	cve.open.package=pkg:deb/debian/openssl@3.0.11-1~deb12u2 cve.open.fixed-in=3.0.12
expect 4 explain web.vhdx
silent
cat >want <<'END'
web.vhdx
DENY  run: rule critical-cve (site/10-patches.xml:4)
      critical vulnerabilities are to be patched first
      cve.open = CVE-2026-1234 (critical, openssl)
      to run it: install openssl >= 3.0.12 and `meta scan` again, or --override=REASON
END
diff want out || fail "as it stands in the manual"
expect 0 explain --action convert web.vhdx
[ "$(cat out)" = "$(printf 'web.vhdx\nALLOW convert: no rule speaks against it')" ] || fail "allowed"

# What would have to change is what it says: then it is allowed.
"$V" meta set web.vhdx cve.open.severity=low
expect 0 explain web.vhdx

# A remedy of the site's own.
"$V" tag web.vhdx +secret
expect 4 explain --action export web.vhdx
shows 'tag = secret'
shows 'to export it: ask security@example.com, or --override=REASON'

# The nearest of several machines.
cat >hardware.xml <<'END'
<hardware xmlns="urn:libvdisk:hardware:1">
  <alternative name="arm"><machine arch="aarch64"/><memory>8589934592</memory></alternative>
  <alternative name="pc"><machine arch="x86_64"/><cpu count="2"/><memory>8589934592</memory></alternative>
</hardware>
END
"$V" meta set web.vhdx hardware hardware.xml
expect 4 explain web.vhdx
cat >want <<'END'
web.vhdx
DENY  run: rule builtin:hardware
      none of the 2 machines that it can run on fits this host
      nearest: alternative 2 (pc), but for:
               memory: needs 8 GiB, the host has 4 GiB
END
head -5 out | diff want - || fail "nearest"
expect 4 explain web.vhdx --json
json '.[0].nearest == ["alternative 2 (pc), but for:", "memory: needs 8 GiB, the host has 4 GiB"]'
sed -i 's/4294967296/8589934592/' host.txt
expect 0 explain web.vhdx

# Every rule that was asked, in order, and how it came out.
expect 0 explain --verbose web.vhdx
[ "$(grep -c ': not met\|: other action' out)" = 7 ] || fail "all rules were asked"
shows '1  critical-cve (site/10-patches.xml:4): not met'
shows '2  exports (site/10-patches.xml:8): other action'
expect 0 explain --json web.vhdx
json '.[0].allowed and .[0].rule == null and (.[0].steps | length == 7 and .[0].outcome == "not met" and
	.[0].line == 4 and .[1].outcome == "other action" and .[6].rule == "builtin:patches")'

# Within its time of grace it is allowed, but that is said.
"$V" meta set web.vhdx expires=2026-01-01 grace=10d
expect 0 explain --at 2026-01-03 web.vhdx
shows 'builtin:validity: not met'
shows 'tolerated for 8 days more'
expect 4 explain --at 2026-01-11 web.vhdx

# Conditions in XPath see the documents; a damaged one can't be seen, so it denies.
cat >site/20-xpath.xml <<'END'
<policy xmlns="urn:libvdisk:policy:1">
  <rule id="arm-first" actions="compact" effect="deny">
    <when-xpath>//hardware:alternative[1]/hardware:machine[@arch="aarch64"]</when-xpath>
  </rule>
</policy>
END
expect 4 explain --action compact web.vhdx
shows 'rule arm-first (site/20-xpath.xml:2)'
shows 'to compact it: --override=REASON'
"$V" meta set web.vhdx hardware.arch=x86_64 2>/dev/null || "$V" meta remove web.vhdx hardware
expect 0 explain --action compact web.vhdx

expect 2 "$V" policy explain --save case.json web.vhdx web.vhdx
says "one IMAGE"
expect 1 explain no-such.vhdx
