#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The README's session with a mount: a new image becomes a disk, gets a file system and files, is
# told about meanwhile, and is put away. Exit 77 with the reason where it can't be shown.
set -eu -o pipefail

B=${B:?the build folder}
if [ "$(id -u)" -ne 0 ] || [ ! -e /dev/fuse ] || ! losetup -f >/dev/null 2>&1; then
	echo 'skipped: the session with a mount needs root, /dev/fuse and loop devices'
	exit 77
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/vdisk-demo.XXXXXX")
cd "$work"
# What is mounted goes first, so that nothing is removed in it.
clean_up() {
	cd "$work"
	umount fs 2>/dev/null || umount -l fs 2>/dev/null || true
	umount mnt 2>/dev/null || umount -l mnt 2>/dev/null || true
	rm -rf --one-file-system "$work"
}
trap clean_up EXIT
mkdir bin mnt fs
ln -s "$B/vdtool/vdtool" "$B/vdfuse/vdfuse" bin/
PATH=$work/bin:$PATH:/usr/sbin:/sbin
export LC_ALL=C TZ=UTC VDISK_RUNTIME_DIR=$work/run SUDO_USER=

run() {
	printf '$ %s\n' "$*"
	eval "$*" || { printf 'demo: this failed (exit code %d)\n' $? && exit 1; }
}

run 'vdtool create web.vhdx 2G && vdtool tag web.vhdx +new'
run 'vdtool mount -w web.vhdx mnt && ls mnt'
run 'mkfs.ext4 -q mnt/disk && mount -o loop,discard mnt/disk fs'
run 'cp -r /usr/include/linux fs'
printf '# While it is in use: who has the image open makes the change, and nobody needs to know\n'
run 'vdtool tag web.vhdx +web -new env=prod'
run 'vdtool meta attach web.vhdx /etc/os-release --kind none'
run 'ls mnt/meta mnt/meta/attachments && vdtool tag web.vhdx'
run 'vdtool check web.vhdx 2>&1 || echo exit code $?'
run 'umount fs && vdtool umount mnt'
printf '# Flushed and closed. Others read it, and it knows what was done\n'
run 'vdtool check web.vhdx && qemu-img check -q web.vhdx && echo no errors'
run 'vdtool inspect web.vhdx | sed -n 1,2p'
run 'vdtool log --json web.vhdx | jq -c "[.[].entries[].operation]"'
run 'vdtool mount web.vhdx mnt && mount -o loop,ro mnt/disk fs'
run 'diff -r /usr/include/linux fs/linux && echo the same files'
run 'umount fs && vdtool umount mnt'
