#!/bin/bash
# SPDX-License-Identifier: MIT
# test-timeout: 400
# Little memory, with the capability that pressure.sh may lack: in a machine that QEMU emulates, where
# root has CAP_SYS_RESOURCE, the daemon, the writer and the loop device's cache share one memory cgroup
# that is much smaller than what is written. Nobody waits for ever, and what was written is there.
. "$(dirname "$0")/../support/mounts.sh"
need qemu-system-x86_64 busybox mkfs.ext4 e2fsck modprobe ldd
kernel=$(find /boot -name 'vmlinuz-*-cloud-amd64' 2>/dev/null | sort -V | tail -1)
[ -n "$kernel" ] && [ -r "$kernel" ] || skip "there is no kernel in /boot (linux-image-cloud-amd64)"
release=${kernel#*/vmlinuz-}
file -L "$(command -v busybox)" 2>/dev/null | grep -q dynamic && skip "busybox isn't a static one"
limit=32M files=7

root=$T/root
mkdir -p "$root"/{bin,dev,proc,sys,host,m,fs,cg,lib/modules}
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$VDFUSE" "$root/bin/vdfuse"
ldd "$VDFUSE" | grep -o '/[^ )]*' | sort -u | while read -r library; do
	mkdir -p "$root$(dirname "$library")"
	cp -L "$library" "$root$library"
done
for module in virtio_pci virtio_blk ext4 fuse loop; do
	modprobe -S "$release" --show-depends $module 2>/dev/null || true
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >list
: >"$root/lib/modules/order"
while read -r module; do
	cp "$module" "$root/lib/modules/"
	basename "$module" >>"$root/lib/modules/order"
done <list
if ls "$root"/lib/modules/*.ko.* >/dev/null 2>&1; then
	skip "the kernel's modules are compressed"
fi
cat >"$root/init" <<END
#!/bin/busybox sh
/bin/busybox --install /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
bad() { echo "GUEST BAD: \$*"; cat /log; reboot -f; }
while read -r module; do
	insmod "/lib/modules/\$module" || bad "insmod \$module"
done </lib/modules/order
for i in \$(seq 100); do
	[ -b /dev/vda ] || sleep 0.3
done
mount -t ext4 /dev/vda /host || bad "mount"
mount -t cgroup2 cgroup /cg || bad "cgroups"
echo +memory >/cg/cgroup.subtree_control || bad "no memory controller"
mkdir /cg/small
echo $limit >/cg/small/memory.max
echo \$\$ >/cg/small/cgroup.procs
# It warns of nothing: it could mark itself.
vdfuse -f -o rw,no_control /host/a.vhdx /m >/log 2>&1 &
daemon=\$!
for i in \$(seq 100); do
	[ -e /m/disk ] || sleep 0.2
done
[ -s /log ] && bad "vdfuse says something"
grep -q small /proc/\$daemon/cgroup || bad "the daemon is elsewhere"
losetup /dev/loop0 /m/disk || bad "losetup"
mount -t ext4 /dev/loop0 /fs || bad "mount of the loop device"
echo "GUEST UP"
i=0
while [ \$i -lt $files ]; do
	cp /host/data /fs/f\$i || bad "file \$i"
	i=\$((i + 1))
done
sync
echo "GUEST WROTE"
i=0
while [ \$i -lt $files ]; do
	cmp /host/data /fs/f\$i || bad "file \$i reads differently"
	i=\$((i + 1))
done
echo "GUEST READ"
umount /fs || bad "umount"
losetup -d /dev/loop0
umount /m || bad "umount of the mount"
wait \$daemon || bad "vdfuse ended with \$?"
grep max /cg/small/memory.events
umount /host
echo "GUEST OK"
reboot -f
END
chmod +x "$root/init"
(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >initrd.gz

truncate -s 256M inner.raw
mkfs.ext4 -q -F inner.raw
$V convert -q inner.raw a.vhdx
mkdir tree
mv a.vhdx tree/
pattern 3 8388608 >tree/data
truncate -s 400M host.raw
mkfs.ext4 -q -F -d tree host.raw
timeout -k 5 280 qemu-system-x86_64 -accel tcg -m 384 -nodefaults -no-reboot -display none \
	-serial stdio -kernel "$kernel" -initrd initrd.gz \
	-append "console=ttyS0 quiet panic=-1 no_timer_check mitigations=off" \
	-drive "file=host.raw,format=raw,if=none,id=d,cache=unsafe" -device virtio-blk-pci,drive=d \
	</dev/null >console 2>qemu.err || fail "QEMU: $(tail -n 3 qemu.err) $(tail -n 9 console)"
tr -d '\r' <console >lines
if grep -q 'GUEST BAD: no memory controller' lines; then
	skip "this kernel has no memory cgroups"
fi
grep -q '^GUEST OK' lines || fail "$(tail -n 20 lines)"
n=$(sed -n 's/^max //p' lines)
[ "$n" -gt 0 ] || fail "the limit was never met: $(tail -n 5 lines)"
debugfs -R 'dump /a.vhdx back.vhdx' host.raw 2>/dev/null
expect 0 $V check -q back.vhdx
$V convert -q --format raw back.vhdx back.raw
e2fsck -fn back.raw >out 2>&1 || fail "e2fsck: $(cat out)"
echo "count: times that a memory limit of ${limit%M} MiB was met, nobody waiting for himself $n"
