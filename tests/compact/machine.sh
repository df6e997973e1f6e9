#!/bin/bash
# SPDX-License-Identifier: MIT
# test-timeout: 600
# A whole machine, emulated by QEMU, with its virtio disk on the mount and discard on: the guest
# fills, syncs, deletes, trims and verifies in a loop while the host compacts the image and edits its
# tags. The guest must never see an error. VD_LONG=1: many more rounds.
. "$(dirname "$0")/../support/mounts.sh"
need jq qemu-system-x86_64 busybox mkfs.ext4 e2fsck modprobe
kernel=$(find /boot -name 'vmlinuz-*-cloud-amd64' 2>/dev/null | sort -V | tail -1)
[ -n "$kernel" ] || skip "there is no kernel in /boot (linux-image-cloud-amd64)"
[ -r "$kernel" ] || skip "$kernel can't be read"
release=${kernel#*/vmlinuz-}
for applet in fstrim sha256sum insmod cpio reboot; do
	busybox --list | grep -qx $applet || skip "busybox lacks $applet"
done
file -L "$(command -v busybox)" 2>/dev/null | grep -q dynamic && skip "busybox isn't a static one"
rounds=${VD_LONG:+20}
rounds=${rounds:-3}

# ---- what the guest starts with: busybox, the disk's drivers, and what it is to do

root=$T/root
mkdir -p "$root"/{bin,dev,proc,sys,mnt,lib}
cp "$(command -v busybox)" "$root/bin/busybox"
modules=$(modprobe -S "$release" --show-depends virtio_pci 2>/dev/null
	modprobe -S "$release" --show-depends virtio_blk 2>/dev/null
	modprobe -S "$release" --show-depends ext4 2>/dev/null) || true
# In the order in which they are needed, each once; some may be built in.
awk '$1 == "insmod" && !seen[$2]++ { print $2 }' <<<"$modules" >list
while read -r module; do
	cp "$module" "$root/lib/"
	basename "$module" >>"$root/lib/order"
done <list
[ -e "$root/lib/order" ] || : >"$root/lib/order"
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
bad() { echo "GUEST BAD: $*"; sync; reboot -f; }
while read -r module; do
	insmod "/lib/$module" || bad "insmod $module"
done </lib/order
for i in $(seq 100); do
	[ -b /dev/vda ] || sleep 0.3
done
mount -t ext4 /dev/vda /mnt || bad "mount"
cd /mnt
(read -r word </dev/ttyS0; : >/stop) &
echo "GUEST UP"
round=0
: >/sums
while [ ! -e /stop ]; do
	round=$((round + 1))
	for i in 1 2 3 4 5 6 7 8; do
		dd if=/dev/urandom of=f$i bs=64k count=20 2>/dev/null || bad "write in round $round"
	done
	for i in 1 5; do
		mv f$i stays$i || bad "mv"
	done
	sha256sum stays* >/sums || bad "read in round $round"
	sync || bad "sync"
	rm f* || bad "rm"
	fstrim /mnt || bad "fstrim in round $round"
	echo 3 >/proc/sys/vm/drop_caches
	sha256sum -c /sums >/result 2>&1 || bad "$(grep -v OK /result)"
	echo "GUEST ROUND $round"
done
sha256sum stays*
cd /
umount /mnt || bad "umount"
if dmesg | grep -iE 'i/o error|ext4-fs error|ext4-fs warning|blk_update|buffer error'; then
	bad "the kernel saw errors"
fi
echo "GUEST OK"
reboot -f
END
chmod +x "$root/init"
(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >initrd.gz

# ---- its disk, and the machine

truncate -s 128M disk.raw
mkfs.ext4 -q -F disk.raw
$V convert -q --block-size 1M disk.raw a.vhdx
$V tag -q a.vhdx +machine
begin a.vhdx -o rw
mkfifo in
exec 8<>in
timeout -k 5 "${VD_MACHINE_SECONDS:-$((450 + rounds * 20))}" qemu-system-x86_64 -accel tcg -m 192 \
	-nodefaults -no-reboot -display none -serial stdio -kernel "$kernel" -initrd initrd.gz \
	-append "console=ttyS0 quiet panic=-1 no_timer_check mitigations=off" \
	-drive "file=$M/disk,format=raw,if=none,id=d,discard=unmap,cache=writeback" \
	-device virtio-blk-pci,drive=d <in >console 2>qemu.err 8>&- &
machine=$!
pids+=($machine)

guest_round()
{
	grep -ao 'GUEST ROUND [0-9]*' console | tail -1 | awk '{ print $3 + 0 } END { if (!NR) print 0 }'
}
# until_guest ROUND: it has come so far, or ended (timeout ends it at the latest).
until_guest()
{
	while :; do
		if [ "$(guest_round)" -ge "$1" ]; then
			return 0
		fi
		kill -0 $machine 2>/dev/null || return 1
		if grep -aq 'GUEST BAD' console; then
			return 1
		fi
		sleep 0.1
	done
}
broken()
{
	tail -c 3000 console >&2
	cat qemu.err >&2
	fail "$*"
}

until_guest 1 || broken "the guest didn't get through its first round"
moved=0 n_compactions=0
for ((i = 1; i <= rounds; i++)); do
	# As long as the guest takes for a round, it compacts again and again; at least once.
	until=$(($(guest_round) + 1))
	while :; do
		kill -0 $machine 2>/dev/null || broken "the machine ended"
		! grep -aq 'GUEST BAD' console || broken "the guest saw an error"
		expect 0 $V compact --json a.vhdx
		moved=$((moved + $(jq '.[0].moves' out)))
		n_compactions=$((n_compactions + 1))
		expect 0 $V tag -q a.vhdx "round=$i.$n_compactions"
		[ $n_compactions -lt 500 ] && [ "$(guest_round)" -lt $until ] || break
	done
done
last=$(guest_round)
until_guest $((last + 1)) || broken "the guest stopped after the compactions"
echo stop >&8
wait $machine || broken "QEMU ended with $?"
grep -aq 'GUEST OK' console || broken "the guest isn't content"
[ $moved -gt 0 ] || fail "nothing was moved while the machine ran"
exec 8>&-

expect 0 $V compact --json a.vhdx
json '.[0].complete'
end
expect 0 $V check -q a.vhdx
$V convert -q --format raw a.vhdx back.raw
e2fsck -fn back.raw >out 2>&1 || fail "e2fsck: $(cat out)"
grep -ao '[0-9a-f]\{64\}  stays[15]' console | tail -2 >sums
[ "$(wc -l <sums)" = 2 ]
while read -r sum name; do
	[ "$(debugfs -R "cat /$name" back.raw 2>/dev/null | sha256sum | cut -d' ' -f1)" = "$sum" ] ||
		fail "$name isn't what the guest wrote"
done <sums
expect 0 $V tag a.vhdx
shows "round=$rounds."
echo "count: rounds that the guest verified $(guest_round)"
echo "count: compactions meanwhile $n_compactions"
echo "count: blocks moved meanwhile $moved"
