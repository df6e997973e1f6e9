#!/bin/bash
# SPDX-License-Identifier: MIT
# test-timeout: 400
# A machine that was made of what an image says boots from that image: QEMU (without KVM) is started
# with exactly what run --print printed, and the guest, whose kernel comes from its own disk through
# its own boot loader, says on its serial console what it finds. Once from the VHDX itself, once
# with two processors, a network card and the disk handed over raw.
. "$(dirname "$0")/../support/cli.sh"
need jq qemu-system-x86_64 busybox syslinux mkfs.vfat mcopy sfdisk modprobe
kernel=$(find /boot -name 'vmlinuz-*-cloud-amd64' 2>/dev/null | sort -V | tail -1)
skip()
{
	echo "skipped: $*"
	exit 77
}
[ -n "$kernel" ] || skip "there is no kernel in /boot (linux-image-cloud-amd64)"
[ -r "$kernel" ] || skip "$kernel can't be read"
mbr=/usr/lib/syslinux/mbr/mbr.bin
[ -e $mbr ] || skip "there is no $mbr (syslinux-common)"
file -L "$(command -v busybox)" 2>/dev/null | grep -q dynamic && skip "busybox isn't a static one"
release=${kernel#*/vmlinuz-}

# ---- what the guest starts with: busybox, the drivers, and what it is to tell

root=$T/root
mkdir -p "$root"/{bin,dev,proc,sys,lib}
cp "$(command -v busybox)" "$root/bin/busybox"
for module in virtio_pci virtio_blk virtio_net; do
	modprobe -S "$release" --show-depends $module 2>/dev/null || true
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >list
: >"$root/lib/order"
while read -r module; do
	cp "$module" "$root/lib/"
	basename "$module" >>"$root/lib/order"
done <list
if ls "$root"/lib/*.ko.* >/dev/null 2>&1; then
	skip "the kernel's modules are compressed"
fi
cat >"$root/init" <<'END'
#!/bin/busybox sh
/bin/busybox --install /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do
	insmod "/lib/$module" || echo "GUEST BAD: insmod $module"
done </lib/order
for i in $(seq 100); do
	[ -b /dev/vda1 ] || sleep 0.3
done
echo "GUEST CPUS $(grep -c ^processor /proc/cpuinfo)"
echo "GUEST MEMORY $(awk '/MemTotal/ { print $2 }' /proc/meminfo)"
echo "GUEST DISK $(cat /sys/block/vda/size)"
echo "GUEST MARK $(dd if=/dev/vda bs=512 skip=2040 count=1 2>/dev/null | tr -d '\0')"
for card in /sys/class/net/e*; do
	[ -e "$card/address" ] && echo "GUEST CARD $(cat "$card/address")"
done
echo "GUEST UP"
poweroff -f
END
chmod +x "$root/init"
(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >initrd.gz

# ---- its disk: one partition, FAT, with a boot loader; nothing needs root or a loop device

truncate -s 64M disk.raw
echo '2048,,6,*' | sfdisk -q disk.raw
dd if=$mbr of=disk.raw bs=440 count=1 conv=notrunc 2>/dev/null
truncate -s 63M part.raw
mkfs.vfat -F 16 part.raw >/dev/null
printf 'SERIAL 0\nDEFAULT linux\nPROMPT 0\nTIMEOUT 1\nLABEL linux\n  KERNEL linux\n  INITRD initrd.gz\n  APPEND console=ttyS0 quiet panic=-1 no_timer_check mitigations=off\n' >syslinux.cfg
mcopy -i part.raw "$kernel" ::linux
mcopy -i part.raw initrd.gz syslinux.cfg ::
syslinux --install part.raw
dd if=part.raw of=disk.raw bs=1M seek=1 conv=notrunc,sparse 2>/dev/null
printf 'this very disk' | dd of=disk.raw bs=512 seek=2040 conv=notrunc 2>/dev/null
$V convert -q disk.raw demo.vhdx
cp disk.raw demo.raw

# boot SECONDS: run exactly what $T/out says; the console is in $T/console.
boot()
{
	local got=0
	cp "$T/out" command.sh
	timeout -k 5 "$1" sh ./command.sh <&9 >console 2>qemu.err || got=$?
	if [ $got != 0 ] || ! grep -aq 'GUEST UP' console; then
		tail -c 2000 console >&2
		cat qemu.err command.sh >&2
		fail "the guest didn't come up (exit $got)"
	fi
}
guest_said()
{
	grep -aq "$1" console || {
		tail -c 2000 console >&2
		fail "the guest didn't say \"$1\""
	}
}
mkfifo in
exec 9<>in # a console that nobody types on

$V meta set -q demo.vhdx hardware.arch=x86_64 hardware.machine=q35 hardware.firmware=bios \
	hardware.memory=256M hardware.cpu.count=1 hardware.disk.bus=virtio
expect 0 $V run --print --accel tcg demo.vhdx
shows "driver=vhdx"
boot 180
guest_said 'GUEST CPUS 1'
guest_said "GUEST DISK $((64 * 2048))"
guest_said 'GUEST MARK this very disk'
if grep -aq 'GUEST CARD' console; then
	fail "there is a network card that the image doesn't ask for"
fi
memory=$(tr -d '\r' <console | awk '/GUEST MEMORY/ { print $3 }')
[ "$memory" -gt $((150 * 1024)) ] && [ "$memory" -lt $((256 * 1024)) ] ||
	fail "$memory KiB of memory instead of nearly 256 MiB"
expect 0 $V check -q demo.vhdx

$V meta set -q demo.vhdx hardware.cpu.count=2 hardware.machine=pc
cat >network.xml <<'END'
<network xmlns="urn:libvdisk:network:1">
  <nic name="eth0" mac="52:54:00:12:34:56" model="virtio" network="front, model=evil"/>
</network>
END
$V meta set -q demo.vhdx network network.xml
expect 0 $V run --print --accel tcg --disk "$T/demo.raw" demo.vhdx
shows "driver=raw"
boot 180
guest_said 'GUEST CPUS 2'
guest_said 'GUEST MARK this very disk'
guest_said 'GUEST CARD 52:54:00:12:34:56'
echo "count: machines that booted 2"
