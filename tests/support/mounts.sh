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
declare -A attached=()

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
		is_detached "$x" || losetup -d "$x" 2>/dev/null
	done
	for ((x = ${#mounts[@]} - 1; x >= 0; x--)); do
		umount -l "${mounts[x]}" 2>/dev/null
	done
	# First politely: fio has processes in sessions of their own, which it alone ends.
	for x in "${pids[@]}"; do
		kill -TERM "$x" 2>/dev/null && sleep 0.2
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
	wait_for is_unmounted "$M"
	wait "$pid" || got=$?
	[ "$got" = "${1:-0}" ] || {
		cat "$T/log" >&2
		fail "vdfuse ended with $got"
	}
}

is_unmounted()
{
	umount "$1" || ! mountpoint -q "$1"
}

# die: the daemon is killed, and what it left is taken away.
die()
{
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null || true
	umount "$M" 2>/dev/null || umount -l "$M" || true
}

# attach FILE [OPTIONS]: a loop device on it, in $loop. In a container the node of a device that the
# kernel has just made may be missing.
attach()
{
	local try free
	for try in 1 2 3 4 5; do
		if loop=$(losetup -f --show "${@:2}" "$1" 2>"$T/attach.err"); then
			loops+=("$loop")
			attached[$loop]=$(sequence_of "$loop")
			return
		fi
		free=$(losetup -f) && { [ -b "$free" ] || mknod "$free" b 7 "${free#/dev/loop}" || true; }
		sleep 0.2
	done
	fail "no loop device for $1, tried $try times: $(cat "$T/attach.err")"
}

# The kernel counts what was attached. It isn't ours any more then: another test may have it next.
sequence_of()
{
	cat "/sys/block/${1#/dev/}/diskseq" 2>/dev/null || true
}
is_detached()
{
	[ -z "$(losetup -O BACK-FILE -n "$1" 2>/dev/null)" ] || [ "$(sequence_of "$1")" != "${attached[$1]}" ]
}
let_go()
{
	is_detached "$1" || losetup -d "$1"
	is_detached "$1"
}
detach()
{
	local gone=${1:-$loop} x
	local -a rest=()
	wait_for let_go "$gone"
	for x in "${loops[@]}"; do
		[ "$x" = "$gone" ] || rest+=("$x")
	done
	loops=("${rest[@]}")
}

# mount_fs TYPE DEVICE: on $T/fs.
mount_fs()
{
	mkdir -p "$T/fs"
	mount -t "$1" "$2" "$T/fs"
	mounts+=("$T/fs")
}

# does_io PID N: that fio has begun its work, with N processes.
does_io()
{
	local child n=0
	for child in $(pgrep -P "$1"); do
		[ "$(awk '/^syscw/ { print $2 }' "/proc/$child/io")" -le 20 ] || n=$((n + 1))
	done
	[ "$n" -ge "$2" ]
}

hash_of()
{
	sha256sum <"$1" | cut -d' ' -f1
}
