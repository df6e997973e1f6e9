#!/bin/bash
# SPDX-License-Identifier: MIT
# As mount(8), fstab and service managers use it: options, owners, exit codes, readiness.
. "$(dirname "$0")/../support/mounts.sh"
need_root
need mount.fuse3

$V create a.vhdx 64M -q
# mount(8) forgets PATH, so what it would run is run here; it does so as `IMAGE DIR -o ...`.
mkdir bin
ln -s "$VDFUSE" bin/vdfuse
mount_as_fstab()
{
	PATH=$T/bin:$PATH mount.fuse3 "$2" "$M" -t fuse.vdfuse -o "$1"
}
# mount(8) passes rw by itself, with dev, suid and what fstab has.
mounts+=("$M")
mount_as_fstab rw,noauto,nofail,_netdev,x-systemd.automount,user,noatime,uid=12,gid=34,umask=027 \
	"$T/a.vhdx"
grep " $M fuse.vdfuse " /proc/mounts >line || fail "not in /proc/mounts"
grep -q "rw," line || fail "not rw: $(cat line)"
grep -q "noatime" line || fail "noatime is lost: $(cat line)"
grep -q "default_permissions" line || fail "no default_permissions"
if grep -q allow_other line; then fail "allow_other without asking"; fi
[ "$(stat -c %u:%g:%a "$M/disk")" = 12:34:640 ] || fail "$(stat -c %u:%g:%a "$M/disk")"
expect 0 $V umount "$M"
mount_as_fstab ro,allow_other "$T/a.vhdx"
grep " $M fuse.vdfuse " /proc/mounts >line
grep -q " ro," line || fail "not ro: $(cat line)"
grep -q allow_other line || fail "allow_other is lost"
expect 0 $V umount "$M"
got=0
mount_as_fstab ro "$T/nothing.vhdx" 2>err || got=$?
[ $got != 0 ] || fail "mount of nothing"

# A name with blanks and commas.
cp a.vhdx 'b, c\d.vhdx'
expect 0 "$VDFUSE" 'b, c\d.vhdx' "$M"
[ -e "$M/disk" ]
expect 0 $V umount 'b, c\d.vhdx'

# Errors that show before it goes into the background have an exit code and words.
exec 7<>a.vhdx
$V create c.vhdx 16M -q
mkdir m2
"$VDFUSE" -o rw c.vhdx m2
mounts+=("$T/m2")
expect 5 "$VDFUSE" -o rw c.vhdx "$M"
says "in use by vdfuse"
expect 0 $V umount m2

# The service manager's socket: READY once it works, STOPPING at the end.
"$B/tests/mount/talk" notify hear >told &
pids+=($!)
wait_for test -S notify
# However long the name of this folder is: a socket's may have 107 bytes.
NOTIFY_SOCKET=/proc/$$/cwd/notify begin c.vhdx
wait_for grep -q READY=1 told
end
wait_for grep -q STOPPING=1 told

# A mount point whose vdfuse has died.
begin c.vhdx
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
expect 1 "$VDFUSE" c.vhdx "$M"
says "umount"
umount "$M"
# SIGTERM is an orderly end, though a file is open.
begin c.vhdx -o rw
exec 8<>"$M/disk"
printf abc >&8
kill -TERM "$pid"
wait "$pid" || fail "SIGTERM: exit $?"
exec 8>&-
if mountpoint -q "$M"; then fail "still mounted"; fi
[ "$($V read c.vhdx --length 3)" = abc ] || fail "what was written is lost"
