# SPDX-License-Identifier: MIT
# Sourced by the tests of the mount, which need FUSE and mostly root and loop devices. What they
# mount is taken away again however they end.
. "$(dirname "${BASH_SOURCE[0]}")/cli.sh"
VDFUSE=$B/vdfuse/vdfuse
M=$T/m
# A runtime folder of its own: nothing outside $T is written.
export VDISK_RUNTIME_DIR=$T/run
mkdir -p "$M"
loops=() mounts=() pids=()

skip()
{
	echo "skipped: $*"
	exit 77
}

clean_up()
{
	local code=$? x
	trap - EXIT
	set +e
	for ((x = ${#mounts[@]} - 1; x >= 0; x--)); do
		umount "${mounts[x]}" 2>/dev/null || umount -l "${mounts[x]}" 2>/dev/null
	done
	for x in "${loops[@]}"; do
		losetup -d "$x" 2>/dev/null
	done
	for ((x = ${#mounts[@]} - 1; x >= 0; x--)); do
		umount -l "${mounts[x]}" 2>/dev/null
	done
	for x in "${pids[@]}"; do
		kill -KILL "$x" 2>/dev/null
	done
	wait 2>/dev/null
	exit "$code"
}
trap clean_up EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

[ -e /dev/fuse ] || skip "there is no /dev/fuse"

need_root()
{
	[ "$(id -u)" -eq 0 ] || skip "needs root"
}

need_loop()
{
	need_root
	need losetup
	losetup -f >/dev/null 2>&1 || skip "there are no loop devices"
}

need_filesystem()
{
	grep -qw "$1" /proc/filesystems || modprobe "$1" 2>/dev/null ||
		skip "the kernel has no $1"
}

# begin IMAGE [OPTIONS...]: mount it on $M; the daemon's pid is in $pid, its words in $T/log.
begin()
{
	local image=$1
	shift
	"$VDFUSE" -f "$@" "$image" "$M" >"$T/log" 2>&1 &
	pid=$!
	pids+=("$pid")
	mounts+=("$M")
	wait_for is_ready "$M" "$pid"
	[ -e "$M/disk" ] || {
		cat "$T/log" >&2
		fail "$image isn't mounted"
	}
}

is_ready()
{
	[ -e "$1/disk" ] || ! kill -0 "$2" 2>/dev/null
}

# end [CODE]: unmount, wait for the daemon, which ends with CODE.
end()
{
	local got=0
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		if umount "$M" 2>/dev/null; then
			break
		fi
		sleep 0.1
	done
	wait "$pid" || got=$?
	[ "$got" = "${1:-0}" ] || {
		cat "$T/log" >&2
		fail "vdfuse ended with $got"
	}
}

# die: the daemon is killed, and what it left is taken away.
die()
{
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null || true
	umount "$M" 2>/dev/null || umount -l "$M" || true
}

# attach FILE [OPTIONS]: a loop device on it, in $loop.
attach()
{
	loop=$(losetup -f --show "${@:2}" "$1") || fail "no loop device for $1"
	loops+=("$loop")
}

# It isn't ours any more then: another test may have it next.
detach()
{
	local gone=${1:-$loop} x
	local -a rest=()
	wait_for losetup -d "$gone"
	wait_for is_detached "$gone"
	for x in "${loops[@]}"; do
		[ "$x" = "$gone" ] || rest+=("$x")
	done
	loops=("${rest[@]}")
}

is_detached()
{
	[ -z "$(losetup -O BACK-FILE -n "$1" 2>/dev/null)" ]
}

# mount_fs TYPE DEVICE: on $T/fs.
mount_fs()
{
	mkdir -p "$T/fs"
	mount -t "$1" "$2" "$T/fs"
	mounts+=("$T/fs")
}

hash_of()
{
	sha256sum <"$1" | cut -d' ' -f1
}
