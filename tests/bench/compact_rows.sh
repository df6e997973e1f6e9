# SPDX-License-Identifier: MIT
# Sourced by tests/bench/run: rows about compaction, of an image of which half was freed. Its two
# halves were written in turns, 8 MiB of each, and the second one was discarded.

make_half_freed()
{
	local i n=$((mb / 16))
	say "making an image of which half was freed ($mb MiB) ..."
	head -c "$((n * 8))M" /dev/urandom >half.raw
	"$tool" create -q half.vhdx "$((n * 16))M"
	for ((i = 0; i < n; i++)); do
		dd if=half.raw bs=8M skip=$i count=1 status=none |
			"$tool" write -q half.vhdx --offset $((i * 8))M
		dd if=half.raw bs=8M skip=$i count=1 status=none |
			"$tool" write -q half.vhdx --offset $(((n + i) * 8))M
	done
	"$tool" discard -q half.vhdx --offset $((n * 8))M --length $((n * 8))M
	truncate -s $((n * 16))M half.raw
}

compact_ours() { "$tool" compact -q c.vhdx; }
prepare_compact_ours() { cp --sparse=always half.vhdx c.vhdx; }
compact_qemu() { qemu-img convert -f vhdx -O vhdx half.vhdx out.vhdx && sync -d out.vhdx; }
prepare_compact_qemu() { rm -f out.vhdx; }

held() { echo $(($(stat -c %b "$1") * 512)); }

# What lies behind the shortest end that the file can have must move; that is the bound, and it comes
# from the map alone.
row_moves()
{
	local copied shared bound most start pid
	prepare_compact_ours
	start=$(held c.vhdx)
	: >running
	(
		while [ -e running ]; do
			held c.vhdx
			sleep 0.01
		done >holds
	) &
	pid=$!
	"$tool" map --json c.vhdx >map.json
	"$tool" compact --json c.vhdx >compact.json
	rm running
	wait $pid
	"$tool" compare -q c.vhdx half.raw >/dev/null
	read -r copied shared < <(jq -r '.[0] | "\(.bytes_copied) \(.bytes_shared)"' compact.json)
	bound=$(jq --argjson least "$(jq '.[0].file_least' compact.json)" '[.[0].extents[] |
		select(.state == "data") | (.offset + .length - ([.offset, $least] | max)) |
		select(. > 0)] | add // 0' map.json)
	echo "bytes moved to compact it ($((shared >> 20)) MiB of them shared)|$((copied + shared))|bound $bound|$(
		awk -v a=$((copied + shared)) -v b="$bound" 'BEGIN { printf "%.2f", b ? a / b : 1 }')|= the bound|$(
		[ $((copied + shared)) = "$bound" ] && echo yes || echo NO)"
	most=$(sort -n holds | tail -1)
	most=$((most > start ? most - start : 0))
	echo "extra space on the host meanwhile, bytes|$most|-|-|<= 1 block + log|$(
		[ $most -le $((2097152 + 8388608 + 1048576)) ] && echo yes || echo NO)"
	echo "bytes moved: $tool compact --json c.vhdx; the bound: blocks behind .file_least in vdtool map" >>commands
}

# guest SECONDS NAME: 4 KiB random 70/30 on the mount; "p99 in us, requests a second, longest in us".
guest()
{
	fio --name=guest --filename=mnt/disk --size="$((mb / 16 * 8))M" --rw=randrw --rwmixread=70 \
		--bs=4k --ioengine=psync --numjobs=2 --time_based --runtime="$1" --group_reporting \
		--output-format=json --output="$2" >/dev/null 2>&1 || { say "fio failed"; exit 1; }
	jq -r '.jobs[0] | "\(.write.clat_ns.percentile["99.000000"] / 1000) \(.read.iops + .write.iops
		) \([.read.clat_ns.max, .write.clat_ns.max] | max / 1000)"' "$2"
}

row_guest()
{
	local i idle busy idles='' busies='' pid
	mkdir -p mnt
	export VDISK_RUNTIME_DIR=$dir/run
	for ((i = 0; i < rounds; i++)); do
		prepare_compact_ours
		"$tool" mount -w c.vhdx mnt
		idle=$(guest 3 idle.json)
		"$tool" compact --json --max-rate $((mb / 4))M c.vhdx >online.json &
		pid=$!
		busy=$(guest 3 busy.json)
		"$tool" ctl c.vhdx cancel >/dev/null 2>&1 || true
		wait $pid || true
		"$tool" umount mnt
		[ "$(jq '.[0].moves' online.json)" -gt 0 ] || { say "nothing moved while fio ran"; exit 1; }
		idles+="$idle"$'\n' busies+="$busy"$'\n'
	done
	for i in 1 2 3; do
		idle=$(median "$(cut -d' ' -f$i <<<"$idles" | tr '\n' ' ')")
		busy=$(median "$(cut -d' ' -f$i <<<"$busies" | tr '\n' ' ')")
		awk -v i=$i -v idle="$idle" -v busy="$busy" -v rate=$((mb / 4)) 'BEGIN {
			q = idle ? busy / idle : 0
			if (i == 1)
				printf "p99 of guest writes while compacting, %d MiB/s|%.0f us|idle %.0f us|%.2f|<= 1.5x|%s\n",
					rate, busy, idle, q, (q <= 1.5 ? "yes" : "NO")
			else if (i == 2)
				printf "guest requests a second meanwhile|%.0f|idle %.0f|%.2f|>= 0.8x|%s\n",
					busy, idle, q, (q >= 0.8 ? "yes" : "NO")
			else
				printf "longest guest request meanwhile|%.0f us|idle %.0f us|%.2f|-|-\n", busy, idle, q
		}'
	done
	echo "longest wait for a move|$(jq '.[0].longest_hold_ns / 1000 | floor' online.json) us|-|-|<= 50 ms|$(
		jq -e '.[0].longest_hold_ns <= 50e6' online.json >/dev/null && echo yes || echo NO)"
	echo "guest: fio --rw=randrw --rwmixread=70 --bs=4k --numjobs=2 on mnt/disk; $tool compact --max-rate $((mb / 4))M" >>commands
}

rows_compact()
{
	make_half_freed
	row_moves
	if has qemu-img; then
		turns "compact an image of which half was freed" "<= 0.6 of qemu-img convert" "<= 0.6" \
			ours=compact_ours qemu-img=compact_qemu
	fi
	if has fio && [ -e /dev/fuse ]; then
		row_guest
	else
		say "left out: guest I/O while compacting (needs fio and /dev/fuse)"
	fi
	rm -f half.* c.vhdx out.vhdx
}
