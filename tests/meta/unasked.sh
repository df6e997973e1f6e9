#!/bin/bash
# SPDX-License-Identifier: MIT
# Nothing is put where nobody asked: whatever is done to an image without metadata leaves it without,
# and makes no sidecar. And what edits of metadata leave as it was: the DataWriteGuid, the content,
# and what others see of it.
. "$(dirname "$0")/../support/mounts.sh"
need jq qemu-img qemu-io vhdiinfo
item=$B/tests/meta/itemctl
cat_vhdi=$B/tests/interop/vhdi_cat

none()
{
	local image
	for image; do
		[ -z "$("$item" list "$image")" ] || fail "$step: $image has got items: $("$item" list "$image")"
	done
	[ -z "$(find . -name '*.vdmeta*')" ] || fail "$step: made $(find . -name '*.vdmeta*')"
}

# ---- images without
step=create
"$V" create -q a.vhdx 64M
"$V" create -q f.vhdx --type fixed 8M
"$V" create -q --parent a.vhdx c.vhdx
"$V" create -q --format raw r.raw 8M
none a.vhdx f.vhdx c.vhdx
step=write
for image in a.vhdx f.vhdx r.raw; do
	pattern 1 5M | "$V" write -q --offset 1M $image
done
"$V" create -q --parent a.vhdx --force c.vhdx
pattern 2 3M | "$V" write -q c.vhdx
none a.vhdx f.vhdx c.vhdx
step=discard
for image in f.vhdx c.vhdx r.raw; do
	"$V" discard -q --offset 2M --length 2M $image
done
none a.vhdx f.vhdx c.vhdx
step=convert
"$V" convert -q a.vhdx a2.vhdx
"$V" convert -q --verify r.raw r2.vhdx
"$V" convert -q --format raw c.vhdx c2.raw
"$V" convert -q --type fixed c.vhdx c2.vhdx
none a.vhdx c.vhdx a2.vhdx r2.vhdx c2.vhdx
step="reading"
for image in a.vhdx f.vhdx c.vhdx r.raw; do
	for command in inspect "inspect --json" check map "bench -q -c 8" "read --length 1M" tag log "meta list" \
		"meta validate" "meta get $image title"; do
		case $command in
		*"$image"*) got=0 && "$V" $command >out 2>&1 || got=$? ;;
		*) got=0 && "$V" $command $image >out 2>&1 || got=$? ;;
		esac
		[ $got -le 1 ] || fail "$command $image: $got: $(cat out)"
	done
done
"$V" compare -q a.vhdx a2.vhdx >out
none a.vhdx f.vhdx c.vhdx
step="bench -w"
"$V" bench -q -w -c 8 -s 4096 -S 64K a.vhdx >out 2>&1
none a.vhdx
step="an edit that fails"
expect 2 "$V" meta set a.vhdx no.such.field=1
expect 2 "$V" meta set a.vhdx hardware.memory=much
expect 1 "$V" meta attach a.vhdx no-such-file
none a.vhdx
step=mount
for image in a.vhdx r.raw; do
	begin $image
	head -c 1M "$M/disk" >/dev/null
	end
	begin $image -o rw
	pattern 3 1M | dd of="$M/disk" bs=1M conv=notrunc,fsync status=none
	[ -z "$(find "$M/meta" -type f)" ] || fail "files in meta/ of an image without metadata"
	end
	none a.vhdx
done

# ---- images with
step="edits"
ids()
{
	"$V" inspect --json "$1" | jq -r '.[0].data_write_id'
}
file_id()
{
	"$V" inspect --json "$1" | jq -r '.[0].file_write_id'
}
content()
{
	"$cat_vhdi" a.vhdx | sha256sum
	qemu-img convert -f vhdx -O raw a.vhdx q.raw
	sha256sum <q.raw
	"$V" read a.vhdx | sha256sum
}
"$V" create -q --parent a.vhdx --force c.vhdx
pattern 4 1M | "$V" write -q --offset 7M c.vhdx
child=$("$V" read c.vhdx | sha256sum)
data_id=$(ids a.vhdx)
was=$(content)
[ "$(sort -u <<<"$was" | wc -l)" = 1 ] || fail "QEMU, libvhdi and we read three things: $was"
vhdiinfo a.vhdx >info.before
"$V" meta export -q a.vhdx empty || true
valid=$TOP/metadata-schema/examples/valid
echo text >file
tagged()
{
	local before
	before=$(file_id a.vhdx)
	expect 0 "$V" "$@"
	[ "$(ids a.vhdx)" = "$data_id" ] || fail "$*: another DataWriteGuid"
	[ "$(file_id a.vhdx)" != "$before" ] || fail "$*: the same FileWriteGuid"
	[ "$(content)" = "$was" ] || fail "$*: other content"
	[ "$("$V" read c.vhdx | sha256sum)" = "$child" ] || fail "$*: the child"
	expect 0 qemu-img check a.vhdx
	expect 0 "$V" check a.vhdx
}
tagged tag a.vhdx +web env=prod
tagged meta set a.vhdx title=T hardware.memory=2G expires=+90d
tagged meta set a.vhdx content "$valid/content.xml"
tagged meta attach a.vhdx --kind none file
"$V" meta export a.vhdx exported
tagged meta remove a.vhdx content
tagged meta import a.vhdx exported
EDITOR='sed -i s/ACME/Acme/' tagged meta edit a.vhdx content
tagged meta scan a.vhdx
# Of what libvhdi says only nothing changed.
vhdiinfo a.vhdx | diff info.before - || fail "vhdiinfo says something else now"
[ "$(qemu-img info --output json a.vhdx | jq '."virtual-size"')" = 67108864 ] || fail "qemu-img info"
tagged meta strip a.vhdx
[ -z "$("$item" list a.vhdx)" ] || fail "strip left items"

# libvhdi's own mount, where it is.
"$V" tag -q a.vhdx +web
if command -v vhdimount >/dev/null; then
	mkdir v
	if vhdimount a.vhdx v >out 2>&1; then
		mounts+=("$T/v")
		[ "$(sha256sum <v/vhdi1)" = "$(head -n 1 <<<"$was")" ] || fail "vhdimount shows something else"
		umount v
	else
		echo "vhdimount can't mount here: $(head -n 1 out)"
	fi
fi
