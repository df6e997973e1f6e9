#!/bin/bash
# SPDX-License-Identifier: MIT
# A real Debian: files of packages that are installed here, with what dpkg knows of them, in an ext4
# behind a GPT in a VHDX. The scan lists packages as dpkg does, files as find does, and digests as
# sha256sum does.
. "$(dirname "$0")/../support/cli.sh"
need jq dpkg-query dpkg tar mke2fs sfdisk qemu-img
wanted=(base-files bash coreutils debianutils dpkg libc-bin login sed tzdata zlib1g)

# ---- the root
packages=()
for package in "${wanted[@]}"; do
	if [ "$(dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | head -n 1)" = installed ]; then
		packages+=("$package")
	fi
done
if [ ${#packages[@]} -lt 6 ] || ! grep -qx 'ID=debian' /etc/os-release; then
	echo "skipped: this isn't a Debian"
	exit 77
fi
mkdir -p root/var/lib/dpkg/info root/etc root/usr/bin root/usr/sbin root/usr/lib root/usr/lib64
# What is there of what dpkg knows; /bin and the like are links into /usr, as on this machine.
# Set-user-id programs and what only root may read stay behind.
dpkg -L "${packages[@]}" | sort -u | while read -r path; do
	if { [ -e "$path" ] || [ -L "$path" ]; } && [ ! -u "$path" ] && [ -r "$path" ] && [ "$path" != /. ]; then
		printf '%s\0' "${path#/}"
	fi
done >list
tar -C / --no-recursion --null -T list -cf - | tar -C root --keep-directory-symlink -xf -
for dir in bin sbin lib; do
	[ -L root/$dir ] || fail "/$dir is no link here"
done
cp /etc/os-release root/usr/lib/os-release
ln -sf ../usr/lib/os-release root/etc/os-release
cp /etc/debian_version root/etc/debian_version
echo web-42 >root/etc/hostname
# Their entries, and two that aren't installed, which dpkg lists in other states.
for package in "${packages[@]}"; do
	dpkg-query -s "$package"
	echo
done >root/var/lib/dpkg/status
printf 'Package: gone\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1:2.0~rc1-3\nMaintainer: a <b@c>\nDescription: d\n\n' >>root/var/lib/dpkg/status
printf 'Package: half\nStatus: install ok unpacked\nArchitecture: amd64\nVersion: 1\nMaintainer: a <b@c>\nDescription: d\n\n' >>root/var/lib/dpkg/status
printf 'more\n' >"root/etc/with blank and ümlaut"
: >root/etc/empty
ln root/etc/hostname root/etc/hard-link

# ---- the image
used=$(du -sm root | cut -f1)
fs=$((used + used / 4 + 24))
mke2fs -q -F -t ext4 -L rootfs -d root root.img ${fs}M
uuid=$(blkid -p -o value -s UUID root.img)
truncate -s $((fs + 4))M disk.img
printf 'label: gpt\nstart=1M,size=1M,type=21686148-6449-6E6F-744E-656564454649\nstart=2M,size=%dM,type=L,name=root\n' $fs |
	sfdisk -q disk.img
dd if=root.img of=disk.img bs=1M seek=2 conv=notrunc,sparse status=none
qemu-img convert -O vhdx disk.img web.vhdx
before=$("$V" read web.vhdx | sha256sum)

# ---- packages and system, as dpkg and the root say
begin=$(date +%s%N)
expect 0 "$V" meta scan web.vhdx
took=$((($(date +%s%N) - begin) / 1000000))
grep -q "${#packages[@]} packages" out || fail "the number of packages"
"$V" meta get web.vhdx package | LC_ALL=C sort >got
dpkg-query --admindir=root/var/lib/dpkg -W -f '${db:Status-Status} pkg:deb/debian/${Package}@${Version}?arch=${Architecture}\n' |
	sed -n 's/^installed //p' | LC_ALL=C sort >want
# A package URL writes the plus of a version, and the colon of an epoch, as it likes.
plain()
{
	sed 's/%2[bB]/+/g; s/%3[aA]/:/g; s/%7[eE]/~/g' "$1"
}
[ "$(wc -l <want)" = ${#packages[@]} ] || fail "dpkg lists others than were put in"
diff <(plain got) <(plain want) || fail "other packages than dpkg's"
field()
{
	[ "$("$V" meta get web.vhdx "$1")" = "$2" ] || fail "$1 is \"$("$V" meta get web.vhdx "$1")\", not \"$2\""
}
field os.id "debian$(. /etc/os-release && echo "${VERSION_ID:-}")"
field os.name "$(. /etc/os-release && echo "$NAME")"
field os.version "$(cat /etc/debian_version)"
field os.hostname web-42
field os.arch "$(uname -m)"
field partition.scheme gpt
field filesystem.label rootfs
field filesystem.uuid "$uuid"
expect 0 "$V" inspect web.vhdx
shows "$(. /etc/os-release && echo "$NAME")"

# ---- files as find lists them; lost+found was made by mke2fs
begin=$(date +%s%N)
expect 0 "$V" meta scan --files web.vhdx
took_files=$((($(date +%s%N) - begin) / 1000000))
list=$B/tests/meta/index_list
find root -mindepth 1 \( -type f -printf 'f %s %T@ - /%P\n' \) -o \( -type d -printf 'd 0 %T@ - /%P\n' \) -o \
	-printf '%y 0 %T@ - /%P\n' | sed -E 's/^(. [0-9]+ [0-9]+)\.[0-9]+/\1/' | LC_ALL=C sort >want
"$list" web.vhdx | grep -v ' /lost+found$' | LC_ALL=C sort >got
n=$(wc -l <want)
[ "$n" -gt 500 ] || fail "only $n files"
diff got want | head -20 >differs || true
[ ! -s differs ] || fail "other files than find's: $(cat differs)"

begin=$(date +%s%N)
expect 0 "$V" meta scan --files --digests web.vhdx
took_digests=$((($(date +%s%N) - begin) / 1000000))
(cd root && find . -type f -print0 | xargs -0 sha256sum) | sed 's|  \./| /|' | LC_ALL=C sort >want
"$list" web.vhdx | awk '$1 == "f"' | cut -d' ' -f4- | LC_ALL=C sort >got
diff got want | head -20 >differs || true
[ ! -s differs ] || fail "other digests than sha256sum's: $(cat differs)"

# ---- and the disk is as before
[ "$("$V" read web.vhdx | sha256sum)" = "$before" ] || fail "the disk changed"
expect 0 qemu-img check web.vhdx
expect 0 "$V" meta validate web.vhdx
echo "count: packages scanned as dpkg lists them ${#packages[@]}"
echo "count: files indexed as find lists them $n"
echo "$used MiB, ${#packages[@]} packages: scan $took ms, with $n files $took_files ms, with digests $took_digests ms"
