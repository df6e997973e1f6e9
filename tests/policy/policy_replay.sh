#!/bin/bash
# SPDX-License-Identifier: MIT
# vdtool policy explain --save and policy test: a saved case is decided again without the image, and
# what comes out differently is told. Saved files may be anybody's.
. "$(dirname "$0")/../support/cli.sh"
need jq

mkdir site
rule()
{
	printf '<policy xmlns="urn:libvdisk:policy:1">%s</policy>' "$1" >site/10.xml
}
rule '<rule id="cve" actions="run" effect="deny"><when>cve.open.severity:critical</when></rule>'
printf 'host.arch = x86_64\nhost.memory = 4294967296\n' >host.txt
"$V" create web.vhdx 64M -q
"$V" meta set web.vhdx cve.open=CVE-2026-1234 cve.open.severity=critical title="$(printf 'a\033[2Jb')" 2>/dev/null ||
	"$V" meta set web.vhdx cve.open=CVE-2026-1234 cve.open.severity=critical title=x
save()
{
	"$V" policy explain --host host.txt --policy site "$@" web.vhdx
}
expect 4 save --save run.json
expect 0 save --action convert --save convert.json --at 2026-11-23T10:00:00Z
no_leftovers
expect 1 save --action convert --save run.json
says 'run.json'
jq -e '.format == "vdisk-policy-case" and .action == "convert" and .time == "2026-11-23T10:00:00Z" and
	.seconds == 1795428000 and .decision.allowed and .documents == null and
	(.rules["site/10.xml"] | length == 64) and (.host | index([["host.memory", "4294967296", 0]]) != null) and
	(.facts | map(select(.[0] == "cve.open")) == [["cve.open", "CVE-2026-1234", 1]])' \
	convert.json >jq.out || fail "what is saved: $(cat convert.json)"
[ "$(jq -r '.rules["site/10.xml"]' run.json)" = "$(b2sum -l 256 <site/10.xml | cut -d' ' -f1)" ] || fail "digest"

# The image isn't needed, nor the host, nor the time.
mv web.vhdx away.vhdx
again()
{
	"$V" policy test --policy site "$@"
}
expect 0 again run.json convert.json
cat >want <<'END'
run.json: run still denied by rule cve
convert.json: convert still allowed
END
diff want out
expect 0 again run.json convert.json --json
json 'length == 2 and all(.[]; .same) and .[0].was_rule == "cve" and .[1].was_allowed'

# Other rules, other answers.
rule '<rule id="all" actions="convert" effect="deny"><reason>no copies</reason></rule><off rule="builtin:patches"/>'
expect 6 again run.json convert.json
cat >want <<'END'
run.json: run was denied by rule cve, is now allowed
convert.json: convert was allowed, is now denied by rule all: no copies
END
diff want out
rule '<rule id="cve2" actions="run" effect="deny"><when>cve.open.severity:critical</when></rule>'
expect 6 again run.json
shows 'was denied by rule cve, is now denied by rule cve2'
expect 0 again convert.json
echo broken >site/20.xml
expect 6 again convert.json
rm site/20.xml

# XPath: documents are kept if a rule asked them. If none did, a later rule can't be evaluated.
mv away.vhdx web.vhdx
rule '<rule id="x" actions="run" effect="deny"><when-xpath>//patches:open[@severity="critical"]</when-xpath></rule>'
expect 4 save --save xpath.json
jq -e '.documents.patches | test("CVE-2026-1234")' xpath.json >jq.out
expect 0 again xpath.json
expect 6 again run.json
shows "is now denied by rule x: its condition can't be evaluated"

# Saved by anybody.
rule ''
wrong()
{
	expect 1 again wrong.json
	if LC_ALL=C grep -q '[[:cntrl:]]' < <(tr -d '\n' <err); then fail "raw on the terminal"; fi
}
edit()
{
	jq -c "$1" run.json >wrong.json
	wrong
}
for filter in '.format = "x"' '.version = 2' 'del(.version)' '.action = "inspect"' '.action = 5' 'del(.seconds)' \
	'.seconds = "1"' '.facts = {}' '.facts[0] = "x"' '.facts[0] = ["a"]' '.facts[0][2] = -1' \
	'.facts[0][2] = 4294967296' '.facts[0][2] = 1.5' '.host = null' '.decision = null' \
	'.decision.allowed = "yes"' 'del(.documents)' '.documents = []' '[.]' '"x"' \
	'.facts = [range(65537) | ["tag", "t\(.)", 0]]'; do
	edit "$filter"
done
printf '{"a": %0.s' {1..3000} >wrong.json
wrong
printf '\033[31m{' >wrong.json
wrong
: >wrong.json
wrong
expect 1 again no-such.json
mkfifo fifo
expect 2 "$V" policy test
# Facts in another order, of no field, twice, with escapes: they are facts.
jq '.facts |= reverse | .facts += [["no.such", "\u001b[31mx", 7], .facts[0]] | .documents = {"x": 5}' run.json >odd.json
rule '<rule id="cve" actions="run" effect="deny"><when>cve.open.severity:critical</when></rule>'
expect 0 again odd.json
