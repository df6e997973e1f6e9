#!/bin/bash
# SPDX-License-Identifier: MIT
#
# vdtool meta scan: what a guest holds is found without running it, without changing a byte of its
# disk, and again with the same result.
set -eu
vdtool=$B/vdtool/vdtool

fail()
{
	echo "scan.sh: $*" >&2
	exit 1
}

# Debian of 400 packages behind an EFI partition; the rest of the disk is LUKS by its magic.
mkdir -p root/etc root/usr/bin root/usr/lib root/var/lib/dpkg
ln -s usr/bin root/bin
ln -s ../usr/lib/os-release root/etc/os-release
printf '%s\n' 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"' 'NAME="Debian GNU/Linux"' \
	'VERSION_ID="12"' ID=debian > root/usr/lib/os-release
echo 12.5 > root/etc/debian_version
for i in $(seq 1 400); do
	printf 'Package: pkg%d\nStatus: install ok installed\nMaintainer: a <b@c>\n' "$i"
	printf 'Architecture: amd64\nVersion: %d.0-1\nDescription: number\n\n' "$i"
done > root/var/lib/dpkg/status
head -c 3000000 /dev/urandom > root/usr/bin/tool
mke2fs -q -F -t ext4 -d root root.img 24M
truncate -s 40M disk.img
printf 'label: gpt\nsize=1M,type=U\nsize=24M,type=L\nsize=8M,type=L\n' | sfdisk -q disk.img
dd if=root.img of=disk.img bs=1M seek=2 conv=notrunc status=none
printf 'LUKS\272\276\0\2' | dd of=disk.img bs=1M seek=26 conv=notrunc status=none
qemu-img convert -O vhdx disk.img web.vhdx
before=$("$vdtool" read web.vhdx | sha256sum)

"$vdtool" meta scan web.vhdx --files --digests > out 2> notes || fail "it failed: $(cat notes)"
n_files=$(find root -type f | wc -l)
grep -q "^web.vhdx: Debian GNU/Linux 12 (bookworm) (ext4, .* used), 400 packages, $n_files files " out ||
	fail "$(cat out)"
grep -q 'nothing was run\]$' out || fail "$(cat out)"
grep -q 'partition 3 .*luks.* not read' notes || fail "what isn't read isn't said: $(cat notes)"

[ "$("$vdtool" meta get web.vhdx os.id)" = debian12 ] || fail 'os.id'
[ "$("$vdtool" meta get web.vhdx os.version)" = 12.5 ] || fail 'os.version'
"$vdtool" meta get web.vhdx package | LC_ALL=C sort > got
dpkg-query --admindir=root/var/lib/dpkg -W \
	-f 'pkg:deb/debian/${Package}@${Version}?arch=${Architecture}\n' | LC_ALL=C sort > want
diff want got || fail 'other packages than dpkg lists'

# Other programs still read the same disk.
qemu-img check -q web.vhdx || fail 'qemu-img check'
[ "$("$vdtool" read web.vhdx | sha256sum)" = "$before" ] || fail 'the disk changed'

# Nothing is started, and of the host's files only the image and libraries are opened.
if command -v strace > /dev/null && strace -o /dev/null true 2> /dev/null; then
	strace -f -o trace -e trace=execve,fork,vfork,clone "$vdtool" meta scan web.vhdx > out 2>&1
	[ "$(grep -c execve trace)" -eq 1 ] || fail "something was run: $(cat trace)"
fi

# A raw image has its metadata beside it, and stays as it is.
sum=$(sha256sum < disk.img)
"$vdtool" meta scan disk.img > out 2> notes || fail "$(cat notes)"
grep -q '400 packages' out || fail "$(cat out)"
[ "$(sha256sum < disk.img)" = "$sum" ] || fail 'the raw image was written to'
[ "$("$vdtool" meta get disk.img os.id)" = debian12 ] || fail 'no sidecar'
cat out
