#!/bin/bash
# SPDX-License-Identifier: MIT
#
# make demo, second part: an image shrinks while a file system on it is mounted and written to. Apart
# from the first because it needs root, FUSE and a loop device; without them it says so.
set -eu -o pipefail

B=${B:?the build folder}
if [ "$(id -u)" != 0 ] || [ ! -e /dev/fuse ] || ! losetup -f >/dev/null 2>&1; then
	printf '\nLeft out: an image that shrinks under a mounted file system (needs root, /dev/fuse, a loop device)\n'
	exit 0
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/vdisk-demo.XXXXXX")
loop='' load=''
clean_up()
{
	[ -z "$load" ] || kill "$load" 2>/dev/null || true
	umount -l "$work/fs" 2>/dev/null || true
	[ -z "$loop" ] || losetup -d "$loop" || true
	umount -l "$work/mnt" 2>/dev/null || true
	rm -rf --one-file-system "$work"
}
trap clean_up EXIT
cd "$work"
mkdir bin mnt fs
ln -s "$B/vdtool/vdtool" "$B/vdfuse/vdfuse" bin/
PATH=$work/bin:$PATH:/usr/sbin:/sbin
export LC_ALL=C TZ=UTC VDISK_RUNTIME_DIR=$work/run

# Show a command as at a terminal, then run it.
run() {
	printf '$ %s\n' "$*"
	eval "$*" || { printf 'demo: this failed (exit code %d)\n' $? && exit 1; }
}

printf '\n# An image shrinks under a file system that is mounted, and written to\n'
run 'vdtool create -q live.vhdx 256M && vdtool mount -w live.vhdx mnt'
loop=$(losetup -f --show mnt/disk)
run "mkfs.ext4 -q $loop && mount $loop fs"
run 'for i in 1 2 3 4 5 6; do head -c 24M /dev/urandom >fs/file$i; done; sha256sum fs/file6 >keep'
run 'sync -f fs; rm fs/file[1-5]; sync -f fs; fstrim fs; du -h --apparent-size live.vhdx'
printf '# (somebody goes on writing to fs/log)\n'
while [ ! -e enough ]; do
	echo "$RANDOM" >>fs/log
	sync fs/log
done &
load=$!
run 'vdtool compact live.vhdx'
touch enough
wait "$load"
load=
run 'du -h --apparent-size live.vhdx; sha256sum -c keep'
run 'umount fs'
run "e2fsck -fn $loop 2>/dev/null | tail -1"
losetup -d "$loop"
loop=
run 'vdtool umount mnt && vdtool check live.vhdx'
