#!/bin/bash
# SPDX-License-Identifier: MIT
# Rules and images that mean harm: bounded in time, everything denied where the rules are broken,
# and nothing raw on the terminal.
. "$(dirname "$0")/../support/cli.sh"
need jq setpriv

"$V" create a.vhdx 8M -q
"$V" tag a.vhdx +web
open='<policy xmlns="urn:libvdisk:policy:1">'
ask()
{
	timeout 100 "$V" policy check --policy site "$@" a.vhdx
}
clean()
{
	if tr -d '\n' <"$1" | LC_ALL=C grep -q '[[:cntrl:]]'; then fail "raw on the terminal: $1"; fi
}
# broken NAME TEXT: what the file site/10.xml makes of it denies, and says TEXT.
broken()
{
	mkdir -p site
	expect 4 ask --action export
	shows "denied: the rules can't be used: "
	shows "$2"
	clean out
	clean err
	rm -rf site
}
file()
{
	rm -rf site
	mkdir site
	cat >site/10.xml
}
many() # N TEXT: TEXT with each % as its number
{
	seq "$1" | sed "s|.*|$2|; s|%|&|" | awk -v t="$2" '{ s = t; gsub(/%/, NR, s); print s }'
}

# Deep, wide, with entities, with terminal escapes.
{ echo "$open"; printf '<v:a xmlns:v="v">%.0s' {1..10000}; } | file
broken deep "site/10.xml:2: elements are nested over 64 deep"
{ echo "$open"; many 10000 '<rule id="r%" actions="run" effect="deny"/>'; echo '</policy>'; } | file
broken rules "site/10.xml:4098: one rule too many"
{ echo "$open"; many 10000 '<off rule="builtin:host"/>'; echo '</policy>'; } | file
broken offs "one rule too many"
{ echo '<!DOCTYPE p [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'; echo "$open&b;</policy>"; } | file
broken entities "site/10.xml:1: a document type declaration"
printf '%s<rule id="\033[31mred" actions="run" effect="deny"/></policy>' "$open" | file
broken escape "site/10.xml:1: "
printf '%s<rule id="&#x9b;31m" actions="run" effect="deny"/></policy>' "$open" | file
broken c1 "site/10.xml:1: "
printf '%s<rule id="a" actions="run&#x202e;" effect="deny"/></policy>' "$open" | file
broken bidi "is none of run"
head -c 1048577 /dev/zero | tr '\0' ' ' | file
broken large "more than 1048576 bytes"
head -c 100000 /dev/urandom | file
broken noise "site/10.xml:"
: | file
broken empty "site/10.xml:1: no element"
# Offs that go round in a circle are only names.
printf '%s<off rule="a"/><off rule="a"/><rule id="a" actions="*" effect="deny"/><off rule="builtin:host"/></policy>' "$open" | file
expect 0 ask

# Conditions over the bounds of queries, and at them.
when() { printf '%s<rule id="a" actions="*" effect="deny"><when>' "$open"; cat; printf '</when></rule></policy>'; }
many 5000 'tag:t% OR' | { cat; echo tag:x; } | when | file
broken terms "site/10.xml:"
{ printf '(%.0s' {1..100}; printf tag:x; printf ')%.0s' {1..100}; } | when | file
broken parentheses "site/10.xml:1: when: "
head -c 70000 /dev/zero | tr '\0' a | when | file
broken length "site/10.xml:1: when: "
many 1500 'title:*a*a*a*a*a*a*a*a*b% OR' | { cat; echo tag:nothing; } | when | file
"$V" meta set a.vhdx title="$(printf 'a%.0s' {1..1000})"
expect 0 ask
# An XPath that would count for ever: it can't be evaluated, so it denies.
printf '%s<rule id="a" actions="*" effect="allow"><when-xpath>count(//*[count(//*[count(//*[count(//*[count(//*[count(//*) &gt; 1]) &gt; 1]) &gt; 1]) &gt; 1]) &gt; 1]) &gt; 5</when-xpath></rule></policy>' "$open" | file
{ echo '<tags xmlns="urn:libvdisk:tags:1">'; many 2000 '<tag>t%</tag>'; echo '</tags>'; } >tags.xml
"$V" meta set a.vhdx tags tags.xml
expect 4 ask
shows "denied by rule a (site/10.xml:1): its condition can't be evaluated"

# What isn't a file of rules, or can't be read.
rm -rf site
echo x >site
expect 4 ask
shows "the rules can't be used: site: "
rm site
mkdir -p site/a.xml
broken folder "site/a.xml: is no plain file"
mkdir site
mkfifo site/a.xml
broken fifo "site/a.xml: is no plain file"
mkdir site
ln -s a.xml site/a.xml
broken loop "site/a.xml: "
mkdir site
for i in $(seq 257); do echo "$open</policy>" >"site/$i.xml"; done
broken files "257 files of rules"
if [ "$(id -u)" = 0 ]; then
	as_other() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
	chmod 755 "$T"
	chmod 644 a.vhdx
	if as_other "$V" inspect "$T/a.vhdx" >/dev/null 2>&1; then
		mkdir site
		echo "$open</policy>" >site/10.xml
		chmod 600 site/10.xml
		expect 4 as_other "$V" policy check --policy "$T/site" "$T/a.vhdx"
		shows "site/10.xml: open: Permission denied"
		chmod 644 site/10.xml
		expect 0 as_other "$V" policy check --policy "$T/site" "$T/a.vhdx"
		chmod 700 site
		expect 4 as_other "$V" policy check --policy "$T/site" "$T/a.vhdx"
		shows "site: open: Permission denied"
		rm -rf site
	fi
fi

# What an image says reaches the terminal harmless, also through rules.
printf '%s<rule id="t" actions="run" effect="deny"><when>tag:*</when><reason>red: &#x9b;31m &#x202e;</reason></rule></policy>' "$open" | file
cat >tags.xml <<'END'
<tags xmlns="urn:libvdisk:tags:1"><tag>a&#x9b;31m&#x202e;b</tag></tags>
END
"$V" meta set a.vhdx tags tags.xml
for command in "check" "explain" "explain --verbose"; do
	expect 4 "$V" policy $command --policy site a.vhdx
	clean out
	if LC_ALL=C grep -q $'\xc2\x9b\|\xe2\x80\xae' out; then fail "$command: raw on the terminal"; fi
done
expect 0 "$V" policy list --policy site
if LC_ALL=C grep -q $'\xc2\x9b\|\xe2\x80\xae' out; then fail "list: raw on the terminal"; fi
expect 4 "$V" policy explain --policy site a.vhdx --json
json '.[0].facts | length == 1'
