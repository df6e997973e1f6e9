#!/bin/bash
# SPDX-License-Identifier: MIT
#
# make demo: an ext4 file system made of a real directory tree travels through VHDX, and programs
# that are not ours say what they see of it. Stops at the first disagreement.
set -eu -o pipefail

B=${B:?the build folder}
work=$(mktemp -d "${TMPDIR:-/tmp}/vdisk-demo.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"
mkdir bin
ln -s "$B/vdtool/vdtool" "$B/tests/interop/vhdi_cat" bin/
PATH=$work/bin:$PATH:/usr/sbin:/sbin
export LC_ALL=C TZ=UTC

say() { printf '\n# %s\n' "$*"; }
# Show a command as at a terminal, then run it.
run() {
	printf '$ %s\n' "$*"
	eval "$*" || { printf 'demo: this failed (exit code %d)\n' $? && exit 1; }
}

say 'A file system, made of a real directory tree'
run 'truncate -s 1G disk.img'
run 'mkfs.ext4 -q -d /usr/include disk.img'

say 'To VHDX: sparse in, sparse out'
run 'vdtool convert disk.img disk.vhdx'
run 'vdtool inspect disk.vhdx'
run 'vdtool check disk.vhdx'
run 'vdtool map disk.vhdx | sed -n 1,6p'

say 'What QEMU and libvhdi see in it'
run 'qemu-img info disk.vhdx | grep -E "format|virtual size"'
run 'qemu-img check -q disk.vhdx && echo no errors'
run 'qemu-img compare disk.img disk.vhdx'
run 'sha256sum < disk.img > sum && cat sum'
run 'vhdi_cat disk.vhdx | sha256sum | tee vhdi.sum'
run 'cmp sum vhdi.sum'

say 'We write; QEMU reads it. The boot sector of an ext4 file system is free for such things'
run 'echo hello from vdtool | vdtool write disk.vhdx --offset 512'
run 'qemu-io -f vhdx -r -c "read -v 512 32" disk.vhdx | sed -n 1,2p'
say 'QEMU writes, into a block without space so far; we read it'
run 'qemu-io -f vhdx -c "write -q -P 0x2a 1000M 64k" disk.vhdx'
run 'cmp <(vdtool read disk.vhdx --offset 1000M --length 64K) <(head -c 64K /dev/zero | tr "\\0" "*")'
say 'We give that block back'
run 'vdtool discard disk.vhdx --offset 1000M --length 2M'
run 'vdtool check disk.vhdx'

say 'And back to raw: the same content, a clean file system, the same files'
run 'vdtool convert --format raw disk.vhdx back.img'
run 'vdtool compare disk.vhdx back.img'
run 'qemu-img compare back.img disk.vhdx'
run 'echo hello from vdtool | dd of=disk.img seek=1 conv=notrunc status=none'
run 'cmp disk.img back.img'
run 'e2fsck -fn back.img 2>/dev/null'
run 'debugfs -R "cat /stdio.h" back.img 2>/dev/null | cmp - /usr/include/stdio.h'

say 'An image tells its own story: another small tree, with the marks of this system'
run 'mkdir -p tree/etc tree/var/lib/dpkg'
run 'cp /etc/os-release tree/etc && cp /var/lib/dpkg/status tree/var/lib/dpkg'
run 'truncate -s 200M web.img && mkfs.ext4 -q -d tree web.img && vdtool convert web.img web.vhdx'
run 'vdtool meta scan web.vhdx --files'
run 'vdtool tag web.vhdx +web env=prod'
run 'vdtool meta set web.vhdx hardware.memory=2G expires=+180d'
run 'vdtool inspect web.vhdx | sed -n 1,4p'
run 'vdtool meta list web.vhdx'
run 'vdtool log --json web.vhdx | jq -c "[.[].entries[].operation]"'
run 'vdtool log --verify web.vhdx'
say 'It travels with the disk, and the programs of others open it as before'
run 'vdtool convert --format raw web.vhdx copy.img && vdtool tag copy.img'
run 'qemu-img check -q web.vhdx && vhdi_cat web.vhdx | cmp - web.img && echo same content'

files=$(debugfs -R 'show_super_stats -h' back.img 2>/dev/null | awk '
	/^Inode count/ { all = $3 } /^Free inodes/ { free = $3 } END { print all - free }')
cat <<END

Shown: an ext4 file system of $files files went raw -> VHDX -> raw. QEMU and libvhdi read the VHDX
with the same content as ours; QEMU read what we wrote and we read what QEMU wrote; after a
discard and the way back the content is equal byte by byte and e2fsck finds it clean. An image was
scanned without running it, tagged and described; the disk in it is still the same, byte by byte.
END
