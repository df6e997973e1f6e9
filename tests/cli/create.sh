#!/bin/bash
# SPDX-License-Identifier: MIT
# create: what the options ask for is what inspect sees; nothing is overwritten unasked.
. "$(dirname "$0")/../support/cli.sh"
need jq

expect 0 "$V" create a.vhdx 10G
silent
[ ! -s out ] || fail "create isn't silent"
expect 0 "$V" inspect --json a.vhdx
json '.[0] | .format == "vhdx" and .type == "dynamic" and .virtual_size == 10737418240 and
	.block_size == 2097152 and .logical_sector_size == 512 and .physical_sector_size == 4096 and
	.parent == null and .dirty_log == false and .metadata == null'

expect 0 "$V" create --block-size 32M --sector-size 4096 --physical-sector-size 4096 b.vhdx 1G
expect 0 "$V" inspect --json b.vhdx
json '.[0] | .block_size == 33554432 and .logical_sector_size == 4096'

expect 0 "$V" create --type fixed f.vhdx 8M --json
json '.[0] | .path == "f.vhdx" and .type == "fixed" and .virtual_size == 8388608'
[ "$(stat -c %b f.vhdx)" -ge 16384 ] || fail "fixed has no space"

expect 0 "$V" create --format raw r.raw 3M
[ "$(stat -c %s r.raw)" = 3145728 ] || fail "raw size"
[ "$(stat -c %b r.raw)" = 0 ] || fail "an empty raw image takes space"

# Refuses to overwrite, and then the old one is untouched; --force replaces, keeping the rights.
chmod 600 a.vhdx
sum=$(sha256sum <a.vhdx)
expect 1 "$V" create a.vhdx 1G
says "a.vhdx: exists already; --force"
[ "$sum" = "$(sha256sum <a.vhdx)" ] || fail "a.vhdx was changed"
expect 0 "$V" create --force a.vhdx 1G
[ "$(stat -c %a a.vhdx)" = 600 ] || fail "the rights of the old file are lost"
expect 0 "$V" inspect --json a.vhdx
json '.[0].virtual_size == 1073741824'
ln -s a.vhdx link.vhdx
expect 0 "$V" create --force link.vhdx 2G
[ -L link.vhdx ] || fail "the symbolic link was replaced"
expect 0 "$V" inspect --json a.vhdx
json '.[0].virtual_size == 2147483648'
mkdir folder
expect 1 "$V" create --force folder 1G
says "isn't a regular file"
expect 1 "$V" create nowhere/a.vhdx 1G
expect 1 "$V" create folder/ 1G
expect 2 "$V" create newfolder/ 1G

# Equal options with --uuid make equal files; without, ids differ.
id=01234567-89ab-cdef-0123-456789abcdef
expect 0 "$V" create --uuid $id u1.vhdx 100M
expect 0 "$V" create --uuid "{${id^^}}" u2.vhdx 100M
cmp u1.vhdx u2.vhdx || fail "--uuid isn't reproducible"
expect 0 "$V" inspect --json u1.vhdx
json ".[0].disk_id == \"$id\""
expect 0 "$V" create v1.vhdx 100M
expect 0 "$V" create v2.vhdx 100M
! cmp -s v1.vhdx v2.vhdx || fail "two images have the same ids"

# Differencing: the size may be left out.
expect 2 "$V" create c.vhdx
expect 0 "$V" create --parent u1.vhdx c.vhdx
expect 0 "$V" inspect --json c.vhdx
json '.[0] | .type == "differencing" and .virtual_size == 104857600 and
	(.parent.path | endswith("u1.vhdx")) and (.parent.chain | length) == 1'
expect 1 "$V" create --parent missing.vhdx d.vhdx
[ ! -e d.vhdx ] || fail "d.vhdx was made"
mkdir elsewhere
cp u1.vhdx elsewhere/base.vhdx
expect 0 "$V" create --parent elsewhere/base.vhdx --parent-root elsewhere e.vhdx
expect 0 "$V" inspect --json --parent-root elsewhere e.vhdx
json '.[0].parent.path | endswith("elsewhere/base.vhdx")'

# What the format can't do is said, and leaves nothing.
expect 2 "$V" create --block-size 3M w.vhdx 1G
expect 2 "$V" create --block-size 512M w.vhdx 1G
expect 2 "$V" create --format raw --block-size 2M w.raw 1G
expect 2 "$V" create w.vhdx 1000
expect 2 "$V" create w.vhdx 65T
[ -z "$(find . -name 'w.*')" ] || fail "a refused image was made"
no_leftovers
