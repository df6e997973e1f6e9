#!/bin/bash
# SPDX-License-Identifier: MIT
# Differencing chains of ours as libvhdi reads them (QEMU can't), and as we do.
. "$(dirname "$0")/lib.sh"
for sector in 512 4096; do
	for block in 1M 32M; do
		rm -rf chain && mkdir chain && cd chain
		run "$V" create --sector-size "$sector" --block-size "$block" base.vhdx 70M
		run "$STAMP" write base.vhdx 1 0 1048576 33550336 65536
		run "$V" create --parent base.vhdx --block-size "$block" middle.vhdx
		run "$STAMP" write middle.vhdx 2 4096 8192 40000000 32768
		run "$V" create --parent middle.vhdx --block-size "$block" top.vhdx
		run "$STAMP" write top.vhdx 3 8192 4096 69206016 4194304
		truncate -s 70M model.raw
		run "$STAMP" raw model.raw 1 0 1048576 33550336 65536
		run "$STAMP" raw model.raw 2 4096 8192 40000000 32768
		run "$STAMP" raw model.raw 3 8192 4096 69206016 4194304
		run "$V" compare top.vhdx model.raw
		for image in base middle top; do
			run "$V" check "$image.vhdx"
		done
		if [ -x "$B/tests/interop/vhdi_cat" ]; then
			"$B/tests/interop/vhdi_cat" top.vhdx middle.vhdx base.vhdx | cmp - model.raw ||
				fail "libvhdi reads another content of the chain ($sector, $block)"
			by=libvhdi
		fi
		cd ..
	done
done
rm -rf chain
echo "4 chains of 3, compared with the raw model by us${by:+ and by $by}"
