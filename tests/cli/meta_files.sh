#!/bin/bash
# SPDX-License-Identifier: MIT
# meta attach, extract, export, import, diff.
. "$(dirname "$0")/../support/cli.sh"
need jq

"$V" create a.vhdx 8M
head -c 300000 /dev/urandom >state.bin
seq 100000 >numbers.txt
printf 'listen: 80\n' >site.yaml
: >empty

# ---- attach and extract
for f in state.bin numbers.txt site.yaml empty; do
	expect 0 "$V" meta attach a.vhdx $f
	silent
done
expect 0 "$V" meta attach --name etc/deep/site.yaml --media-type text/x-site a.vhdx site.yaml
expect 0 "$V" meta attach --name typed a.vhdx - <site.yaml
expect 0 "$V" meta attach --kind state --name saved a.vhdx state.bin
expect 0 "$V" meta list --json a.vhdx
json '[.[0].records[] | select(.type == "attachment") | .name] | sort == ["empty", "etc/deep/site.yaml", "numbers.txt", "saved", "site.yaml", "state.bin", "typed"]'
json '.[0].records[] | select(.name == "site.yaml") | .media_type == "application/yaml" and .length == 11'
json '.[0].records[] | select(.name == "etc/deep/site.yaml") | .media_type == "text/x-site"'
json '.[0].records[] | select(.name == "numbers.txt") | .stored_length < .length'
expect 0 "$V" meta get a.vhdx configuration.file
grep -qx site.yaml out || fail "the document configuration doesn't name it"
expect 0 "$V" meta get a.vhdx state.file
[ "$(cat out)" = saved ] || fail "the document state doesn't name it"
mkdir back
for f in state.bin numbers.txt site.yaml empty; do
	expect 0 "$V" meta extract a.vhdx $f back/$f
	cmp $f back/$f || fail "$f came back different"
done
(cd back && "$V" meta extract ../a.vhdx etc/deep/site.yaml 2>&1) && fail "an existing file was replaced"
(cd back && rm site.yaml && "$V" meta extract ../a.vhdx etc/deep/site.yaml && cmp site.yaml ../site.yaml) ||
	fail "the last part of the name"
expect 1 "$V" meta extract a.vhdx empty back/empty
says "--force"
expect 0 "$V" meta extract --force a.vhdx numbers.txt back/empty
cmp numbers.txt back/empty || fail "--force"
expect 0 "$V" meta extract a.vhdx site.yaml -
cmp out site.yaml || fail "to stdout"
expect 1 "$V" meta extract a.vhdx nothing
no_leftovers . && no_leftovers back

# Replaced under its name; removed, with its mention.
echo new >site.yaml
expect 0 "$V" meta attach a.vhdx site.yaml
expect 0 "$V" meta extract a.vhdx site.yaml -
cmp out site.yaml || fail "not replaced"
expect 0 "$V" meta remove a.vhdx attachment:typed
expect 1 "$V" meta extract a.vhdx typed -

# Names that lead elsewhere, and what can't be.
for name in ../up /abs a/../b . .. a//b ''; do
	expect 2 "$V" meta attach --name "$name" a.vhdx site.yaml
done
expect 2 "$V" meta attach a.vhdx - <site.yaml
says "--name"
expect 1 "$V" meta attach a.vhdx missing
expect 1 "$V" meta attach --name x a.vhdx /
head -c 40M /dev/urandom >huge
before=$("$V" meta list --json a.vhdx | jq -c '.[0].records')
expect 1 "$V" meta attach a.vhdx huge
[ "$before" = "$("$V" meta list --json a.vhdx | jq -c '.[0].records')" ] || fail "half of it was attached"
expect 0 "$V" meta attach --by-reference a.vhdx huge
expect 0 "$V" meta get a.vhdx configuration
shows 'uri="huge"'
digest=$(b2sum -l 256 huge | cut -d' ' -f1)
shows "$digest"
mkdir -p 'out side'
mv huge 'out side/'
expect 0 "$V" meta attach --by-reference a.vhdx 'out side/huge'
expect 0 "$V" meta get a.vhdx configuration
shows "uri=\"file://"
shows "out%20side/huge\""

# A private key: stored, with a warning.
printf -- '-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n' >id_test
expect 0 "$V" meta attach --kind none a.vhdx id_test
says "private key"
expect 0 "$V" meta get a.vhdx configuration.file
if grep -qx id_test out; then fail "--kind none is named by a document"; fi

# ---- a libvirt domain fills hardware and network
"$V" create m.vhdx 8M
cat >domain.xml <<X
<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>web</name>
  <memory unit='MiB'>2048</memory>
  <vcpu placement='static'>4</vcpu>
  <os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type></os>
  <cpu mode='custom'><model>Haswell</model><feature policy='require' name='vmx'/></cpu>
  <devices>
    <disk type='file' device='disk'><target dev='vda' bus='virtio'/></disk>
    <disk type='file' device='cdrom'><target dev='sda' bus='sata'/></disk>
    <interface type='network'><mac address='52:54:00:01:02:03'/>
      <source network='front &amp; back'/><model type='virtio'/></interface>
    <interface type='bridge'><source bridge='br0'/><model type='e1000e'/></interface>
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
  </devices>
</domain>
X
expect 0 "$V" meta attach m.vhdx domain.xml
says "hardware and network"
expect 0 "$V" meta get m.vhdx 'hardware.*'
for want in hardware.memory=2147483648 hardware.cpu.count=4 hardware.arch=x86_64 hardware.machine=q35 \
	hardware.firmware=efi hardware.cpu.model=Haswell hardware.cpu.feature=vmx \
	hardware.disk.bus=virtio hardware.nic.model=virtio hardware.nic.model=e1000e hardware.tpm=2.0; do
	grep -qx "$want" out || fail "$want"
done
if grep -q sata out; then fail "the CD drive was taken for a disk"; fi
expect 0 "$V" meta get m.vhdx 'network.*'
grep -qx network.mac=52:54:00:01:02:03 out || fail "mac"
grep -qx 'network.network=front & back' out || fail "network"
grep -qx network.network=br0 out || fail "bridge"
expect 0 "$V" meta validate m.vhdx
expect 0 "$V" inspect m.vhdx
shows "needs     2 GiB memory, 4 CPUs, x86_64, efi, virtio disk, TPM 2.0"
expect 0 "$V" meta extract m.vhdx domain.xml -
cmp out domain.xml || fail "the domain itself"
# What people entered stays; what isn't a domain fills nothing.
"$V" meta get m.vhdx network | sed 's|name="nic0"|& role="frontend"|' >network.xml
expect 0 "$V" meta set m.vhdx network network.xml
expect 0 "$V" meta set m.vhdx hardware.memory=8G
expect 0 "$V" meta attach --kind none m.vhdx domain.xml
expect 0 "$V" meta get m.vhdx hardware.memory
[ "$(cat out)" = 8589934592 ] || fail "--kind none filled something"
expect 0 "$V" meta attach m.vhdx domain.xml
expect 0 "$V" meta get m.vhdx network.role
grep -qx frontend out || fail "the role is gone"
"$V" create n.vhdx 8M
sed 's/<memory.*//; s/virtio/no such thing !!/' domain.xml | expect 0 "$V" meta attach --name odd.xml n.vhdx -
expect 0 "$V" meta get n.vhdx hardware.cpu.count
for text in '<x/>' '<domain' '<!DOCTYPE domain [<!ENTITY a "1">]><domain><vcpu>&a;</vcpu></domain>' \
	'<domain><memory unit="TiB">99999999999</memory><vcpu>-1</vcpu></domain>'; do
	"$V" create --force o.vhdx 8M
	printf '%s' "$text" | expect 0 "$V" meta attach --name o.xml o.vhdx -
	expect 1 "$V" meta get o.vhdx 'hardware.*'
done

# ---- export, import, diff
"$V" tag a.vhdx +web 'owner=Jane Doe'
"$V" meta set a.vhdx title=T hardware.memory=1G
"$V" meta set a.vhdx urn:example:v - <<<'<v xmlns="urn:example:v">1</v>'
expect 0 "$V" meta export a.vhdx dir
silent
expect 0 cat dir/manifest.json
json '.format == "vdisk-metadata" and .version == 1 and .image == "a.vhdx"'
json '[.records[] | .file] | index("content.xml") and index("tags.xml") and index("vendor-1.xml") and index("attachments/etc/deep/site.yaml")'
cmp dir/attachments/state.bin state.bin || fail "the exported attachment"
expect 0 cat dir/history.json
json 'length > 5 and .[0].number == 1'
expect 0 "$V" meta validate --document dir/content.xml dir/tags.xml
expect 1 "$V" meta export a.vhdx dir
says "exists already"
no_leftovers .
"$V" create i.vhdx 8M
"$V" tag i.vhdx +gone
"$V" meta set i.vhdx rights.id=stays
expect 6 "$V" meta diff a.vhdx i.vhdx
shows "- tag=web"
shows "+ tag=gone"
shows "+ rights.id=stays"
shows "- document:urn:example:v="
shows "- attachment:state.bin="
expect 6 "$V" meta diff --json a.vhdx i.vhdx
json '.[0] | .equal == false and (.differences | length) > 5'
expect 0 "$V" meta import i.vhdx dir
says "attachments/id_test: warning: looks like it holds a private key"
expect 6 "$V" meta diff a.vhdx i.vhdx
[ "$(cat out)" = "+ rights.id=stays" ] || fail "the import isn't complete"
expect 0 "$V" meta remove i.vhdx rights
expect 0 "$V" meta diff a.vhdx i.vhdx
expect 0 "$V" log --json i.vhdx
json '[.[0].entries[].operation] == ["tag", "meta set", "meta import", "meta remove"]'

# What no field tells: what a vendor has put into a document of ours. Damage is no equality.
"$V" create v.vhdx 8M
"$V" meta set v.vhdx content - <<<'<content xmlns="urn:libvdisk:content:1"><title>T</title><v:x xmlns:v="urn:example:v">1</v:x></content>'
seq 1000 | "$V" meta attach --kind none --name f v.vhdx -
cp v.vhdx w.vhdx
expect 0 "$V" meta diff v.vhdx w.vhdx
"$V" meta set w.vhdx content - <<<'<content xmlns="urn:libvdisk:content:1"><title>T</title><v:x xmlns:v="urn:example:v">2</v:x></content>'
expect 6 "$V" meta diff v.vhdx w.vhdx
[ "$(sed 's/=.*//' out | tr '\n' ' ')" = '- document:content + document:content ' ] || fail "what a vendor put in"
seq 1001 | "$V" meta attach --kind none --name f w.vhdx -
expect 6 "$V" meta diff v.vhdx w.vhdx
[ "$(grep -c "attachment:f=" out)" = 2 ] || fail "another file of the same name"
for name in content f; do
	cp v.vhdx w.vhdx
	id=$("$V" meta list --json v.vhdx | jq -r --arg n $name '.[0].records[] | select(.kind == $n or .name == $n) | .id')
	"$B/tests/meta/itemctl" flip w.vhdx "$id" 200
	expect 3 "$V" meta diff v.vhdx w.vhdx
	says "w.vhdx: $name: "
	expect 3 "$V" meta diff --json w.vhdx w.vhdx
	json '.[0].equal == false'
done

# A folder that somebody touched.
cp -r dir bad
echo more >>bad/attachments/state.bin
before=$(sha256sum <i.vhdx)
expect 1 "$V" meta import i.vhdx bad
says "digest"
[ "$before" = "$(sha256sum <i.vhdx)" ] || fail "half of it was imported"
expect 0 "$V" meta import --force i.vhdx bad
for file in /etc/passwd ../dir/tags.xml a/../tags.xml; do
	jq --arg f "$file" '.records = [{type: "attachment", name: "x", file: $f}]' dir/manifest.json >bad/manifest.json
	expect 1 "$V" meta import i.vhdx bad
	says "leads out"
done
ln -s /etc bad/link
ln -s /etc/passwd bad/link2
mkfifo bad/pipe
for file in link/passwd link2 pipe missing attachments; do
	jq --arg f "$file" '.records = [{type: "attachment", name: "x", file: $f}]' dir/manifest.json >bad/manifest.json
	expect 1 "$V" meta import i.vhdx bad
done
for text in '' '[]' '{}' '{"format":"vdisk-metadata","version":2,"records":[]}' '{"format":"vdisk-metadata","version":1,"records":[1]}'; do
	printf '%s' "$text" >bad/manifest.json
	expect 1 "$V" meta import i.vhdx bad
done
expect 1 "$V" meta import i.vhdx nowhere
