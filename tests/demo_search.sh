#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The README's tour of search and policy: a few images that say different things of themselves, five
# questions, one rule. Needs no privileges.
set -eu -o pipefail

B=${B:?the build folder}
work=$(mktemp -d "${TMPDIR:-/tmp}/vdisk-demo.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir bin images rules mnt
ln -s "$B/vdtool/vdtool" "$B/vdfuse/vdfuse" bin/
PATH=$work/bin:$PATH:/usr/sbin:/sbin
export LC_ALL=C TZ=UTC VDISK_RUNTIME_DIR=$work/run SUDO_USER= COLUMNS=110

say() { printf '\n# %s\n' "$*"; }
run() {
	printf '$ %s\n' "$*"
	# The folder of this run has another name each time.
	eval "$*" 2>&1 | sed "s|$work|/srv|g" || { printf 'demo: this failed (exit code %d)\n' $? && exit 1; }
}

# What scans, people and patch tools would have entered.
packages() { # IMAGE NAME=VERSION...
	local p image=$1
	shift
	{
		printf '<content xmlns="urn:libvdisk:content:1">\n  <os id="debian12"/>\n  <software>\n'
		for p in "$@"; do
			printf '    <package>pkg:deb/debian/%s@%s</package>\n' "${p%%=*}" "${p#*=}"
		done
		printf '  </software>\n</content>\n'
	} | vdtool meta set "$image" content -
}
open_cve() { # IMAGE CVE SEVERITY PACKAGE FIXED-IN
	printf '<patches xmlns="urn:libvdisk:patches:1">
  <scan time="%s"/>
  <open id="%s" severity="%s" status="affected" package="%s" fixed-in="%s"/>\n</patches>\n' \
		"$(date -u +%FT%TZ)" "$2" "$3" "$4" "$5" | vdtool meta set "$1" patches -
}
vdtool create -q images/web.vhdx 40G
vdtool tag images/web.vhdx +web env=prod >/dev/null
packages images/web.vhdx openssl=3.0.17-1~deb12u2 nginx=1.22.1-9
vdtool meta set images/web.vhdx hardware.memory=2G hardware.cpu.count=1 expires=+180d
vdtool create -q images/shop.vhdx 80G
vdtool tag images/shop.vhdx +web env=prod >/dev/null
packages images/shop.vhdx openssl=3.0.9-1 postgresql-15=15.3-0+deb12u1
open_cve images/shop.vhdx CVE-2026-1234 critical pkg:deb/debian/openssl@3.0.9-1 3.0.17-1
vdtool create -q images/lab.vhdx 10G
vdtool tag images/lab.vhdx env=test >/dev/null
vdtool meta set images/lab.vhdx hardware.memory=4096G expires=2026-01-31
truncate -s 100M images/tree.raw
mkdir -p tree/etc tree/opt/app/lib
cp /etc/os-release tree/etc
echo jar >tree/opt/app/lib/log4j-core-2.14.1.jar
mkfs.ext4 -q -d tree images/tree.raw
vdtool meta scan images/tree.raw --files >/dev/null

say 'Five questions. Only metadata is read: no payload, no machine is started, no server needed'
run "vdtool search 'tag:env=prod AND package:openssl<3.0.17' images"
run "vdtool search 'web NOT cve.open.severity:critical' images"
run "vdtool search 'file:**/log4j-core-2.1[0-4]*.jar' images"
run "vdtool catalog sync --catalog all.db images"
run "vdtool search --catalog all.db 'hardware.memory>=4G OR expires<+30d' --sort path"
run "vdtool search --catalog all.db 'cve.open{severity>=high package:openssl}' --format '%p: %{cve.open}\\n'"

say 'One rule of ours, beside those that are built in'
cat >rules/10-patches.xml <<'END'
<policy xmlns="urn:libvdisk:policy:1">
  <rule id="production-is-patched" actions="run mount-rw convert" effect="deny">
    <when>tag:env=prod AND cve.open{severity ge high}</when>
    <reason>production images run without known holes</reason>
    <remedy>update the package, then `vdtool meta scan` the image again</remedy>
  </rule>
</policy>
END
run 'cat rules/10-patches.xml'
run 'vdtool policy explain --policy rules --action convert images/shop.vhdx || echo exit code $?'
run 'vdtool mount images/lab.vhdx mnt || echo exit code $?'
run 'vdtool policy check --policy rules --action run images/web.vhdx'
run "vdtool run --print --accel tcg images/web.vhdx 2>/dev/null"

cat <<'END'

Shown: five questions to four images, answered from their metadata alone, directly and from a catalog
with the same evaluator; a rule of a site and a built-in one, both of which refused with the reason and
exit code 4; and the machine that an image asks for, as a command line for QEMU.
END
