# SPDX-License-Identifier: MIT
# Sourced by tests/bench/run: the disk as a file, ours and others'. Needs root and /dev/fuse. What lies
# below is hot; what the kernel cached of the mounts themselves is dropped before each turn. At most
# three rounds: peers are slow.

# What is mounted goes before the folder does: a removal must not go into it. The rows run in a shell of
# their own, so ask the kernel.
clean_mounts() {
	local m
	for m in $(awk -v d="$dir/" 'index($2, d) == 1 { print $2 }' /proc/self/mounts); do
		umount "$m" 2>/dev/null || umount -l "$m" 2>/dev/null || true
	done
	# QEMU's daemon outlives its mount, and then keeps a processor busy.
	[ ! -e "$dir/servers" ] || xargs -r kill -KILL <"$dir/servers" 2>/dev/null || true
}
trap 'clean_mounts; rm -rf --one-file-system "$dir"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

is_there() { [ -s "$1" ] && [ "$(stat -c %s "$1")" -gt 1000000 ]; }
# serve NAME FILE COMMAND...: begin a peer; it is done when FILE is there. FILE is then disk_NAME.
declare -A disk=() pid_of=()
serve() {
	local name=$1 file=$2 i
	shift 2
	"$@" >"$name.log" 2>&1 &
	pid_of[$name]=$!
	echo $! >>"$dir/servers"
	for ((i = 0; i < 100; i++)); do
		is_there "$file" && { disk[$name]=$file; return 0; }
		sleep 0.1
	done
	cat "$name.log" >&2
	say "the peer $name doesn't mount: left out"
}

# libfuse's own examples, compiled where they lie.
make_passthrough() {
	local from=/usr/share/doc/libfuse3-dev/examples
	if [ -e $from/passthrough_hp.cc ]; then
		g++ -O2 -w $from/passthrough_hp.cc -o passthrough $(pkg-config --cflags --libs fuse3) 2>/dev/null &&
			echo passthrough_hp
	elif [ -e $from/passthrough_ll.c ]; then
		gcc -O2 -w $from/passthrough_ll.c -o passthrough $(pkg-config --cflags --libs fuse3) 2>/dev/null &&
			say "libfuse's passthrough_hp isn't installed: its passthrough_ll instead" && echo passthrough_ll
	else
		say "libfuse's examples aren't installed: no passthrough to compare with"
	fi
}

# The process's ticks of the CPU, as seconds.
cpu_of() { awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, ""); print ($12 + $13) / hz }' "/proc/$1/stat"; }

# on NAME FUNCTION: run it on that peer, and add up the time its process takes.
on() {
	local before
	before=$(cpu_of "${pid_of[$1]}")
	"$2" "${disk[$1]}"
	awk -v a="$before" -v b="$(cpu_of "${pid_of[$1]}")" 'BEGIN { print b - a }' >>"cpu.$2.$1"
}
sequential() { dd if="$1" of=/dev/null bs=1M; }
random() {
	fio --name=r --filename="$1" --rw=randread --bs=4k --ioengine=libaio --iodepth=16 --direct=1 \
		--number_ios="$((n_reads / 15))" --size="${mb}M" --randseed=1 --output-format=json --output=fio.json
	jq -r '.jobs[0] | if .error == 0 then .read.runtime / 1000 else error("fio") end' fio.json >figure
}
# Each into a block without space so far, flushed at the end.
allocating() { "$tool" bench -q -w --pattern 90 -c "$((n_writes / 10))" -d 1 -s 4096 -S 2M -t none --source-format raw "$1"; }
for name in ours passthrough qsd vhdimount; do
	eval "seq_$name() { on $name sequential; }
	rnd_$name() { on $name random; }
	prepare_seq_$name() { dd if=\"\${disk[$name]}\" iflag=nocache count=0; }
	prepare_rnd_$name() { prepare_seq_$name; }
"
done
qsd_serve() { # NAME IMAGE FILE on|off
	: >"$3"
	serve "$1" "$3" qemu-storage-daemon --blockdev "driver=file,node-name=f,filename=$2,read-only=$4" \
		--blockdev "driver=vhdx,node-name=v,file=f,read-only=$4" \
		--export "type=fuse,id=e,node-name=v,mountpoint=$3,writable=$([ "$4" = on ] && echo off || echo on)"
}

# A new image for each turn.
stop() {
	umount "$1" 2>/dev/null || umount -l "$1" 2>/dev/null || true
	[ -z "${pid_of[$2]:-}" ] || wait "${pid_of[$2]}" || true
}
prepare_alloc_ours() {
	stop m/fresh fresh
	rm -f fresh.vhdx
	"$tool" create -q fresh.vhdx 8G
	serve fresh m/fresh/disk "$B/vdfuse/vdfuse" -f -o rw,no_control fresh.vhdx m/fresh
}
prepare_alloc_qsd() {
	[ -z "${pid_of[fresh_qsd]:-}" ] || kill "${pid_of[fresh_qsd]}"
	stop m/fresh_qsd fresh_qsd
	rm -f freshq.vhdx
	qemu-img create -q -f vhdx -o block_size=2M freshq.vhdx 8G
	qsd_serve fresh_qsd freshq.vhdx m/fresh_qsd off
}
alloc_ours() { on fresh allocating; }
alloc_qsd() { on fresh_qsd allocating; }

# cpu_row FUNCTION NAME...: seconds a GiB, the mean of the rounds.
cpu_row() {
	local work=$1 each n line=''
	shift
	for each in "$@"; do
		n=$(awk -v mb="$mb" '{ s += $1 } END { printf "%.2f", s / NR * 1024 / mb }' "cpu.$work.$each")
		line+="${line:+, }$each $n s"
	done
	echo "CPU of the serving process for a GiB of it|$(cut -d, -f1 <<<"$line" | cut -d' ' -f2-)|${line#*, }|-|-|-"
}

rows_mount() {
	local name pass there=() seq=() rounds=$((rounds < 3 ? rounds : 3))
	if [ "$(id -u)" -ne 0 ] || [ ! -e /dev/fuse ] || ! has fio; then
		say 'the mount rows need root, /dev/fuse and fio: left out'
		return 0
	fi
	pass=$(make_passthrough)
	mkdir -p m/ours m/passthrough m/vhdimount raw
	ln -f dense.raw raw/disk
	serve ours m/ours/disk "$B/vdfuse/vdfuse" -f -o no_control dense.vhdx m/ours
	[ -z "$pass" ] || serve passthrough m/passthrough/disk ./passthrough -f -o "source=$dir/raw" m/passthrough
	if has qemu-storage-daemon; then qsd_serve qsd dense.vhdx m/qsd on; fi
	if has vhdimount; then
		vhdimount dense.vhdx m/vhdimount >vhdimount.log 2>&1 &&
			pid_of[vhdimount]=$(pgrep -nx vhdimount) && disk[vhdimount]=m/vhdimount/vhdi1
	fi
	for name in ours passthrough qsd vhdimount; do
		[ -n "${disk[$name]:-}" ] || continue
		cmp -n $((mb << 20)) dense.raw "${disk[$name]}" >&2
		there+=("$name") seq+=("$name=seq_$name")
	done
	has_peer() { [ -n "${disk[$1]:-}" ]; }
	turns "mount: $mb MiB in sequence (passthrough: ${pass:-none})" "<= 1.25x passthrough" "<= 1.25" "${seq[@]}"
	cpu_row sequential "${there[@]}"
	if has_peer vhdimount; then
		turns "mount: the same against vhdimount" ">= 1" ">= 1" ours=seq_ours vhdimount=seq_vhdimount
	fi
	if has_peer qsd; then
		turns "mount: $((n_reads / 15)) random reads of 4 KiB, 16 in flight, O_DIRECT" ">= 1.5x qsd" ">= 1.5" \
			ours=rnd_ours qsd=rnd_qsd
		mkdir -p m/fresh
		turns "mount: $((n_writes / 10)) allocating writes of 4 KiB, stride 2 MiB, O_DIRECT, one flush" \
			">= 5x qsd" ">= 5" ours=alloc_ours qsd=alloc_qsd
		stop m/fresh fresh
		"$tool" read --offset $((2097152 * (n_writes / 10 - 1))) --length 4096 fresh.vhdx | tr -d '\132' | wc -c | grep -qx 0
		"$tool" check -q fresh.vhdx >/dev/null
	fi
	clean_mounts
}

