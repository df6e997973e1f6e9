#!/bin/bash
# SPDX-License-Identifier: MIT
# SIZE: 10G is binary, 10GB decimal, a plain number bytes; nothing is guessed.
. "$(dirname "$0")/../support/cli.sh"

while read -r text bytes; do
	rm -f s.raw
	expect 0 "$V" create --format raw s.raw "$text"
	[ "$(stat -c %s s.raw)" = "$bytes" ] || fail "$text: $(stat -c %s s.raw), not $bytes"
done <<-END
	512 512
	1048576B 1048576
	8K 8192
	8k 8192
	8KiB 8192
	64KB 64000
	3M 3145728
	8MB 8000000
	1.5M 1572864
	2G 2147483648
	2GB 2000000000
	1T 1099511627776
END
rm -f s.raw
for wrong in 10X 10GBB G 1.M 0x10 -5 +5G '' ' 5' 5.3 99999999999999999999 16E 1e6; do
	expect 2 "$V" create --format raw -- s.raw "$wrong"
	[ ! -e s.raw ] || fail "\"$wrong\" made a file"
done
expect 2 "$V" create s.vhdx 0
