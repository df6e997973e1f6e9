#!/bin/bash
# SPDX-License-Identifier: MIT
# run --print: the machine is what the image says; what it says can't become more than a value it is
# meant to be, for QEMU, for libvirt, for the shell; and nothing is written. QEMU itself takes the
# command lines (where there is one), libvirt's schema the domains.
. "$(dirname "$0")/../support/syslog.sh"
. "$(dirname "$0")/../support/cli.sh"
need jq xmllint
trap 'end_syslog' EXIT
begin_syslog

# What a shell makes of the command: the words, one a line, from a program that only shows them.
mkdir fake
for arch in x86_64 i386 aarch64; do
	printf '#!/bin/sh\necho "qemu-system-%s"\nprintf "%%s\\n" "$@"\n' $arch >fake/qemu-system-$arch
	chmod +x fake/qemu-system-$arch
done
words()
{
	cp "$T/out" command.sh
	PATH=$T/fake:$PATH sh ./command.sh >words || fail "a shell can't read it"
}
# has WORD / lacks WORD: one of the words is exactly that / none has that in it.
has()
{
	grep -qxF -- "$1" words || fail "no word \"$1\" in: $(cat words)"
}
lacks()
{
	if grep -qF -- "$1" words; then
		fail "\"$1\" in: $(cat words)"
	fi
}
# document CATEGORY <XML: into a.vhdx.
document()
{
	cat >doc.xml
	$V meta set -q a.vhdx "$1" doc.xml
}
hardware()
{
	document hardware <<END
<hardware xmlns="urn:libvdisk:hardware:1">$1</hardware>
END
}
qemu()
{
	expect 0 $V "${P[@]}" --host host "$@" a.vhdx
	words
}
# Rules that allow everything, so that hosts needn't fit; the built-in ones are asked at the end.
mkdir allow
cat >allow/10.xml <<'END'
<policy xmlns="urn:libvdisk:policy:1">
  <rule id="all" effect="allow" actions="run"/>
</policy>
END
P=(run --print --policy allow)
# A host that stays the same.
cat >host <<'END'
host.arch = x86_64
host.cpu.count = 8
host.cpu.feature = aes avx2 sse4_1
host.memory = 16G
host.hypervisor = kvm

host.gpu.address = 0000:41:00.0
host.gpu.model = AD104GL [L4]
host.gpu.memory = 32G
END

# ---- usage

$V create -q a.vhdx 64M
expect 2 $V run a.vhdx
says "only --print"
expect 2 $V "${P[@]}" --network x a.vhdx
expect 2 $V "${P[@]}" --network 'x=bridge:a,script=/x' a.vhdx
expect 2 $V "${P[@]}" --network 'x=tap:' a.vhdx
expect 2 $V "${P[@]}" --network 'x=tap:sixteen-letters-' a.vhdx
expect 2 $V "${P[@]}" --format vmware a.vhdx
expect 1 $V "${P[@]}" nowhere.vhdx

# ---- defaults are told, and nothing is written

sum=$(sha256sum a.vhdx)
stamp=$(stat -c '%Y %Z %s' a.vhdx)
chmod a-w . && chmod a-w a.vhdx
qemu
chmod u+w .
says "asks for no architecture: taking x86_64"
says "no size of memory: taking 1024 MiB"
says "says nothing of networks: the machine has none"
has q35
has kvm
has host
has "driver=file,node-name=disk-file,filename=$T/a.vhdx"
has "driver=vhdx,node-name=disk,file=disk-file"
has "virtio-blk-pci,drive=disk,bootindex=1"
lacks netdev
chmod u+w a.vhdx
[ "$sum" = "$(sha256sum a.vhdx)" ] || fail "the image was changed"
[ "$(stat -c '%s' a.vhdx)" = "${stamp##* }" ]
no_leftovers
expect 0 $V "${P[@]}" -q --host host a.vhdx
silent

# ---- what the image says

hardware '<alternative name="ARM"><machine arch="aarch64"/></alternative>
<alternative name="PC"><machine arch="x86_64" type="pc-q35-7.2" firmware="bios"/>
<cpu model="Haswell-noTSX" count="3"><feature>avx2</feature><feature>sse4_1</feature></cpu>
<memory>2147483649</memory><disk bus="nvme"/><nic model="e1000e"/>
<gpu count="1" memory="17179869184" model="NVIDIA L4"/><tpm version="2.0"/></alternative>'
qemu
says 'of 2 alternatives of hardware, taking "PC"'
says "GPU 0000:41:00.0"
has pc-q35-7.2
has "Haswell-noTSX,avx2=on,sse4.1=on"
has 3
has 2049
has "nvme,drive=disk,serial=disk,bootindex=1"
has "user,id=net0"
has "e1000e,netdev=net0"
has "vfio-pci,host=0000:41:00.0"
has "socket,id=tpm-socket,path=$T/a.vhdx.swtpm"
has "tpm-crb,tpmdev=tpm"
expect 0 $V "${P[@]}" --json --host host a.vhdx
jq -r '.[0].argv[]' out >argv
cmp argv words || fail "--json has other words than a shell"
json '.[0].format == "qemu" and .[0].xml == null and (.[0].notes | length) > 0'
qemu --accel tcg
has tcg
# What can't be made isn't the fault of a disk.
expect 1 $V "${P[@]}" --json --host host --format libvirt a.vhdx
json 'length == 1 and .[0].error.code == "unsupported" and (.[0].error.text | test("libvirt"))'
# On an ARM host the other alternative fits better.
sed 's/x86_64/aarch64/' host >arm
expect 0 $V "${P[@]}" --host arm --json a.vhdx --disk "$(truncate -s 64M d.raw; echo d.raw)" --format libvirt
json '.[0].xml | test("arch=\"aarch64\"")'
$V create -q x86.vhdx 64M
$V meta set -q x86.vhdx hardware.arch=x86_64
expect 1 $V "${P[@]}" --host arm --accel kvm x86.vhdx
says "--accel kvm: the host is aarch64"

# ---- networks

document network <<'END'
<network xmlns="urn:libvdisk:network:1">
  <nic name="eth0" mac="52:54:00:12:34:56" model="virtio" network="front end"/>
  <nic name="eth1" mac="52:54:00:12:34:57" model="rtl8139" network="storage" vlan="12"/>
  <nic name="eth2" network="storage"/>
  <nic name="eth3"/>
  <segment name="storage" forward="none"/>
</network>
END
qemu
says 'network "front end": leads out'
says 'network "storage": leads nowhere'
says 'VLAN is left out'
has "user,id=net0"
has "virtio-net-pci,netdev=net0,mac=52:54:00:12:34:56"
has "user,id=net1,restrict=on"
has "rtl8139,netdev=net1,mac=52:54:00:12:34:57"
has "e1000e,netdev=net2"
qemu --network 'front end=bridge:br0' --network storage=tap:tap7 --network eth3=none
has "bridge,id=net0,br=br0"
has "tap,id=net1,ifname=tap7,script=no,downscript=no"
has "hubport,id=net3,hubid=3"
expect 1 $V "${P[@]}" --host host --network nosuch=user a.vhdx
says "no card of the image is on that network"

# ---- libvirt

expect 1 $V "${P[@]}" --host host --format libvirt a.vhdx
says "libvirt doesn't know VHDX"
valid()
{
	cp out domain.xml
	xmllint --noout domain.xml || fail "not well-formed"
	if command -v virt-xml-validate >/dev/null; then
		virt-xml-validate domain.xml domain >check 2>&1 || fail "libvirt's schema: $(cat check)"
		n_valid=$((n_valid + 1))
	fi
}
n_valid=0
hardware '<alternative><machine arch="x86_64" type="q35" firmware="efi" secure-boot="true"/>
<cpu model="EPYC-v2" count="2"><feature>lahf_lm</feature></cpu><memory>1073741824</memory>
<disk bus="scsi"/><gpu count="1"/><tpm version="2.0"/></alternative>'
expect 0 $V "${P[@]}" --host host --format libvirt --disk d.raw --network storage=none a.vhdx
valid
xmllint --xpath 'string(/domain/cpu/model)' domain.xml | grep -qx EPYC
xmllint --xpath 'string(/domain/cpu/feature/@name)' domain.xml | grep -qx lahf_lm
xmllint --xpath 'string(/domain/os/firmware/feature[@name="secure-boot"]/@enabled)' domain.xml | grep -qx yes
xmllint --xpath 'count(/domain/devices/interface)' domain.xml | grep -qx 4
xmllint --xpath 'string(/domain/devices/hostdev/source/address/@bus)' domain.xml | grep -qx 0x41
for bus in virtio sata usb ide; do
	hardware "<alternative><machine arch=\"x86_64\" type=\"pc\"/><disk bus=\"$bus\"/></alternative>"
	expect 0 $V "${P[@]}" --host host --format libvirt --disk d.raw --accel tcg a.vhdx
	valid
done
# U+FFFF is UTF-8, and nothing that XML can have.
odd=$T/a$'\xef\xbf\xbf'.raw
cp --sparse=always d.raw "$odd"
expect 1 $V "${P[@]}" --host host --format libvirt --disk "$odd" --accel tcg a.vhdx
says "XML can't hold"
odd="$T/a <&\"',\$(touch bad)
.raw"
truncate -s 64M "$odd"
expect 0 $V "${P[@]}" --host host --format libvirt --disk "$odd" a.vhdx
# The schema has no dollar in a path; what counts is that it comes out as it was.
cp out domain.xml
[ "$(xmllint --xpath 'string(/domain/devices/disk/source/@file)' domain.xml)" = "$odd" ] ||
	fail "the path came out otherwise"

# ---- hostile names of files

qemu --disk "$odd"
[ ! -e bad ] || fail "a command was run"
expect 0 $V "${P[@]}" --json --host host --disk "$odd" a.vhdx
jq -e --arg path "${odd//,/,,}" '.[0].argv | any(endswith("filename=" + $path + ",discard=unmap"))' out >/dev/null ||
	fail "commas aren't doubled"
name='b,model=evil $(touch bad);`touch bad`'\''".vhdx'
cp a.vhdx "$name"
expect 0 $V "${P[@]}" --host host "$name"
words
[ ! -e bad ] || fail "a command was run"
has "driver=file,node-name=disk-file,filename=$T/${name//,/,,}"
has "b_model_evil___touch_bad___touch_bad___"

# ---- hostile values: refused with what would be right, or left out; never a part of the output

# refuses ALTERNATIVE TEXT
refuses()
{
	hardware "<alternative>$1</alternative>"
	expect 1 $V "${P[@]}" --host host a.vhdx
	says "$2"
	[ ! -s out ] || fail "something was printed"
	n_refused=$((n_refused + 1))
}
n_refused=0
refuses '<machine arch="x86_64,x"/>' "isn't one of x86_64, i686, aarch64"
refuses '<machine arch="s390x"/>' "isn't one of x86_64"
refuses '<machine arch="x86_64" type="q35,accel:kvm"/>' "isn't one of q35|pc"
refuses '<machine arch="x86_64" type="pc-q35-7,smm"/>' "isn't one of q35|pc"
refuses '<machine arch="x86_64" type="none"/>' "isn't one of q35|pc"
refuses '<machine arch="aarch64" firmware="bios"/>' "aarch64 has none"
refuses '<machine arch="x86_64" type="pc" secure-boot="true"/>' "only machine q35"
refuses '<cpu model="max,+foo"/>' "hardware.cpu.model"
refuses '<cpu model="EPYC-v2,x"/>' "hardware.cpu.model"
refuses '<cpu count="18446744073709551615"/>' "at most 1024"
refuses '<cpu><feature>avx2,hv</feature></cpu>' "isn't one that QEMU knows"
refuses '<memory>9223372036854775807</memory>' "hardware.memory"
refuses '<disk bus="virtio,readonly"/>' "has none of those that the image takes"
refuses '<machine arch="x86_64" type="q35"/><disk bus="ide"/>' "has none of those"
refuses '<nic model="virtio,romfile:/etc/passwd"/>' "isn't one of virtio, e1000e"
refuses '<tpm version="3"/>' "isn't 1.2 or 2.0"
hardware '<alternative name="$(touch bad); &#34;, &#39; -device x"><disk bus="virtio"/></alternative>'
document network <<'END'
<network xmlns="urn:libvdisk:network:1">
  <nic name="a,b:c" mac="52:54:00:12:34:56" network="x,script=/bin/sh&#10;-device evil $(touch bad)"/>
  <segment name="&lt;/domain&gt;" forward="none"/>
</network>
END
qemu
lacks evil
lacks script
lacks touch
expect 0 $V "${P[@]}" --host host --format libvirt --disk d.raw a.vhdx
valid
if grep -qE 'evil|touch|/bin/sh' out; then
	fail "the image's text is in the domain"
fi
document network <<'END'
<network xmlns="urn:libvdisk:network:1"><nic name="x" mac="53:54:00:12:34:56"/></network>
END
expect 1 $V "${P[@]}" --host host a.vhdx
says "of a group"
document network <<'END'
<network xmlns="urn:libvdisk:network:1"><nic name="x" model="virtio,x:y"/></network>
END
expect 1 $V "${P[@]}" --host host a.vhdx
says "network.model"
$V meta remove -q a.vhdx network
[ ! -e bad ] || fail "a command was run"

# ---- disks that QEMU can't open itself

$V create -q big.vhdx 64M --sector-size 4096
expect 1 $V "${P[@]}" --host host big.vhdx
says "sectors of 4096 bytes: mount it"
expect 0 $V "${P[@]}" --host host --disk d.raw big.vhdx
words
has "virtio-blk-pci,drive=disk,bootindex=1,logical_block_size=4096,physical_block_size=4096"
$V create -q child.vhdx --parent a.vhdx
expect 1 $V "${P[@]}" --host host child.vhdx
says "differencing"
expect 0 $V "${P[@]}" --host host --disk d.raw child.vhdx
truncate -s 1M small.raw
expect 1 $V "${P[@]}" --host host --disk small.raw a.vhdx
says "another one"
expect 1 $V "${P[@]}" --host host --disk "$T" a.vhdx

# ---- the policy is asked

hardware ""
$V meta set -q a.vhdx expires=2020-01-01 grace=0
expect 4 $V run --print --host host a.vhdx
[ ! -s out ] || fail "something was printed"
expect 0 $V run --print --host host --override="a test" a.vhdx
says "overridden"
logged "action run, rule builtin:validity"
logged "reason: a test"
$V meta remove -q a.vhdx validity
mkdir rules
cat >rules/10.xml <<'END'
<policy xmlns="urn:libvdisk:policy:1">
  <rule id="no-running" actions="run" effect="deny"><reason>not here</reason></rule>
</policy>
END
expect 4 $V run --print --host host --policy rules a.vhdx
says "no-running"

# ---- QEMU takes it

n_started=0
if command -v qemu-system-x86_64 >/dev/null; then
	while read -r machine bus nic; do
		hardware "<alternative><machine arch=\"x86_64\" type=\"$machine\"/>
<cpu model=\"max\"><feature>avx2</feature></cpu><memory>134217728</memory><disk bus=\"$bus\"/><nic model=\"$nic\"/></alternative>"
		expect 0 $V "${P[@]}" --host host --accel tcg a.vhdx
		cp out command.sh
		printf '\001cquit\n' | timeout 60 sh ./command.sh >started 2>&1 || fail "QEMU: $(cat started)"
		n_started=$((n_started + 1))
	done <<'END'
q35 scsi e1000e
q35 nvme virtio
pc sata rtl8139
pc ide pcnet
q35 usb usb-net
END
fi
# EFI firmware is used where it is, and missed where it isn't.
hardware '<alternative><machine arch="x86_64" type="q35" firmware="efi" secure-boot="true"/></alternative>'
if [ -e /usr/share/OVMF/OVMF_CODE_4M.ms.fd ]; then
	expect 0 $V "${P[@]}" --host host --accel tcg a.vhdx
	words
	has "driver=cfi.pflash01,property=secure,value=on"
	if command -v qemu-system-x86_64 >/dev/null; then
		cp out command.sh
		printf '\001cquit\n' | timeout 60 sh ./command.sh >started 2>&1 || fail "QEMU: $(cat started)"
		n_started=$((n_started + 1))
	fi
elif [ ! -e /usr/share/edk2/ovmf ]; then
	expect 1 $V "${P[@]}" --host host --accel tcg a.vhdx
	says "no EFI firmware with secure boot for x86_64 is installed here"
fi
echo "count: values of images refused $n_refused"
echo "count: domains that libvirt's schema takes $n_valid"
echo "count: machines that QEMU takes $n_started"
