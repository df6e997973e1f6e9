#!/bin/bash
# SPDX-License-Identifier: MIT
# Root looks in the folders of all users for the process that has an image, and believes none of them
# more than it has to: a user speaks for an image that is his or that he may write, not for others;
# a link in his folder leads to nobody else; and he can't make root wait.
if [ -z "${VD_OWN_RUN:-}" ] && [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
	VD_OWN_RUN=1 exec unshare -m bash "$0" "$@"
fi
. "$(dirname "$0")/../support/mounts.sh"
need_root
need setpriv fusermount3 jq
[ -n "${VD_OWN_RUN:-}" ] || skip "mount namespaces can't be made here"
unset VDISK_RUNTIME_DIR

# A /run of our own, and in it a user who has programs and images.
mount -t tmpfs -o mode=755 none /run
uid=65534 home=/run/user/65534
mkdir -p /run/bin $home/m
cp "$VDFUSE" "$V" "$B/tests/mount/talk" /run/bin
as_user() { setpriv --reuid $uid --regid $uid --clear-groups "$@"; }
as_user test -w /dev/fuse || skip "users may not mount here: /dev/fuse"
[ -u "$(command -v fusermount3)" ] || skip "users may not mount here: fusermount3"
socket_of()
{
	local dev
	dev=$(stat -c %d "$1")
	printf '%x-%x-%x.sock' $((dev >> 8 & 0xfff)) $((dev & 0xff | dev >> 12 & 0xfff00)) \
		"$(stat -c %i "$1")"
}
$V create -q $home/own.vhdx 16M
chown -R $uid $home

# His own process for his own image is found, edits go through it, and it is asked to end.
as_user /run/bin/vdfuse -o rw $home/own.vhdx $home/m
mounts+=($home/m)
expect 0 $V ctl --json $home/own.vhdx status
json ".[0].mount_point == \"$home/m\""
expect 0 $V tag $home/own.vhdx +by-root
expect 0 $V umount $home/own.vhdx
expect 0 $V tag $home/own.vhdx
shows by-root
[ "$(stat -c %U:%a $home/vdisk)" = "$(id -nu $uid):700" ] || fail "$(stat -c %U:%a $home/vdisk)"
[ -z "$(ls $home/vdisk)" ] || fail "left: $(ls $home/vdisk)"

# Whoever can read an image doesn't speak for it.
$V create -q /run/a.vhdx 16M
chmod 644 /run/a.vhdx
as_user /run/bin/vdfuse /run/a.vhdx $home/m
[ -S "$home/vdisk/$(socket_of /run/a.vhdx)" ] || fail "it is called otherwise: $(ls $home/vdisk)"
expect 5 $V ctl /run/a.vhdx
says "no control channel"
as_user fusermount3 -u $home/m
wait_for test ! -e "$home/vdisk/$(socket_of /run/a.vhdx)"

# A link to the socket of root's own process for another image.
$V create -q b.vhdx 16M
begin b.vhdx -o rw
wait_for test -S "/run/vdisk/$(socket_of b.vhdx)"
for image in /run/a.vhdx $home/own.vhdx; do
	as_user ln -s "/run/vdisk/$(socket_of b.vhdx)" "$home/vdisk/$(socket_of $image)"
	expect 1 $V ctl $image
	says "not in use"
	expect 1 $V umount $image
	as_user rm "$home/vdisk/$(socket_of $image)"
done
mountpoint -q "$M" || fail "another image was unmounted"
end

# One who listens and accepts nobody.
as_user /run/bin/talk "$home/vdisk/$(socket_of $home/own.vhdx)" deaf >deaf &
pids+=($!)
wait_for grep -q deaf deaf
SECONDS=0
expect 1 timeout 30 $V ctl $home/own.vhdx
[ $SECONDS -le 10 ] || fail "waited for $SECONDS s"
