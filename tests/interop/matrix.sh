#!/bin/bash
# SPDX-License-Identifier: MIT
# Type x block size x sector size x virtual size: QEMU and libvhdi read what we wrote, we read
# what QEMU wrote. Every sector carries where it belongs. test-timeout: 300
. "$(dirname "$0")/lib.sh"
need qemu-img qemu-io
M=$((1 << 20)) G=$((1 << 30))
n_ours=0 n_qemu=0 n_vhdi=0

# ranges SIZE BLOCK: "OFFSET LENGTH" pairs at the places where mistakes like to be.
ranges()
{
	local size=$1 block=$2 at
	local places=(0 $((block - 4096)) $((size / 2 / 4096 * 4096)) $((4 * G - 8192)) \
		$((512 * block - 4096)) $((size - 4096)))
	for at in "${places[@]}"; do
		[ "$at" -ge 0 ] && [ $((at + 4096)) -le "$size" ] || continue
		if [ $((at + 12288)) -le "$size" ]; then
			echo "$at 12288"
		else
			echo "$at $((size - at))"
		fi
	done
}

# the raw model of a disk of SIZE with stamps at the ranges
make_model()
{
	rm -f model.raw
	truncate -s "$1" model.raw
	# shellcheck disable=SC2086
	run "$STAMP" raw model.raw 7 $2
}

ours()
{
	local type=$1 block=$2 sector=$3 size=$4 where
	where=$(ranges "$size" "$block" | sort -nu | tr '\n' ' ')
	what="$type, $((block / M)) MiB blocks, $sector-byte sectors, $size bytes"
	rm -f ours.vhdx
	run "$V" create --type "$type" --block-size "$block" --sector-size "$sector" ours.vhdx "$size"
	# shellcheck disable=SC2086
	run "$STAMP" write ours.vhdx 7 $where
	# shellcheck disable=SC2086
	run "$STAMP" check ours.vhdx 7 $where
	run "$V" check ours.vhdx
	make_model "$size" "$where"
	if [ "$sector" = 512 ]; then
		run qemu-img check -f vhdx ours.vhdx
		qemu-img compare -f vhdx -F raw ours.vhdx model.raw >run.out 2>&1 ||
			fail "QEMU reads something else: $what: $(cat run.out)"
		n_qemu=$((n_qemu + 1))
	fi
	if can_mount; then
		mount_vhdi ours.vhdx || fail "libvhdi refuses: $what: $(cat run.out)"
		[ "$(stat -c %s mnt/vhdi1)" = "$size" ] || fail "libvhdi sees another size: $what"
		# shellcheck disable=SC2086
		set -- $where
		while [ $# -gt 0 ]; do
			cmp -n "$2" -i "$1" mnt/vhdi1 model.raw >run.out 2>&1 || {
				umount_vhdi
				fail "libvhdi reads something else: $what: $(cat run.out)"
			}
			shift 2
		done
		umount_vhdi
		n_vhdi=$((n_vhdi + 1))
	fi
	n_ours=$((n_ours + 1))
}

n_theirs=0
theirs()
{
	local subformat=$1 block=$2 size=$3 where
	where=$(ranges "$size" "$block" | sort -nu | tr '\n' ' ')
	what="QEMU's $subformat, $((block / M)) MiB blocks, $size bytes"
	make_model "$size" "$where"
	rm -f theirs.vhdx
	run qemu-img create -f vhdx -o "subformat=$subformat,block_size=$block" theirs.vhdx "$size"
	# shellcheck disable=SC2086
	set -- $where
	while [ $# -gt 0 ]; do
		dd if=model.raw of=piece bs=512 skip=$(($1 / 512)) count=$(($2 / 512)) status=none
		run qemu-io -f vhdx -c "write -s piece $1 $2" theirs.vhdx
		shift 2
	done
	# shellcheck disable=SC2086
	run "$STAMP" check theirs.vhdx 7 $where
	run "$V" check theirs.vhdx
	run "$V" compare theirs.vhdx model.raw
	n_theirs=$((n_theirs + 1))
}

for block in $M $((2 * M)) $((32 * M)) $((256 * M)); do
	for sector in 512 4096; do
		for size in $((3 * M + 4096)) $((70 * M)) $((5 * G + 12288)); do
			ours dynamic "$block" "$sector" "$size"
		done
	done
	for size in $((3 * M + 1536)) $((70 * M + 512)); do
		ours dynamic "$block" 512 "$size"
	done
	ours fixed "$block" 512 $((3 * M + 1536))
	ours fixed "$block" 4096 $((70 * M))
	theirs dynamic "$block" $((3 * M))
	theirs dynamic "$block" $((5 * G))
done
ours fixed $M 512 $((70 * M))
theirs fixed $M $((70 * M))

# The largest there is: more than the host's files can be, so without a raw model.
for block in $M $((32 * M)); do
	rm -f ours.vhdx
	where="0 8192 $((4 * G - 4096)) 8192 $(((64 << 40) - 8192)) 8192"
	run "$V" create --block-size "$block" ours.vhdx 64T
	# shellcheck disable=SC2086
	run "$STAMP" write ours.vhdx 7 $where
	# shellcheck disable=SC2086
	run "$STAMP" check ours.vhdx 7 $where
	run qemu-img check -f vhdx ours.vhdx
	run qemu-io -r -f vhdx -c "read -P 0 $((1 << 40)) 64k" ours.vhdx
	n_ours=$((n_ours + 1))
done
rm -f ./*.vhdx ./*.raw piece
echo "$n_ours images of ours ($n_qemu compared by QEMU, $n_vhdi by libvhdi), $n_theirs of QEMU's"
can_mount || echo "vhdimount can't be used here: libvhdi wasn't asked"
