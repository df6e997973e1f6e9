#!/bin/bash
# SPDX-License-Identifier: MIT
# Help, version, wrong usage, and what isn't supported yet.
. "$(dirname "$0")/../support/cli.sh"

fits_screen()
{
	[ "$(wc -l <"$T/out")" -le 24 ] || fail "$1: more than 24 lines"
	[ "$(wc -L <"$T/out")" -le 80 ] || fail "$1: more than 80 columns"
}

expect 0 "$V" --version
grep -qE '^vdtool [0-9]+\.[0-9]+\.[0-9]+$' out || fail "version"
expect 0 "$V" --help
fits_screen --help
cp out help
for sub in create inspect check map convert compare read write discard bench tag log; do
	grep -q "^  $sub " help || fail "--help lacks $sub"
	expect 0 "$V" $sub --help
	fits_screen "$sub --help"
	shows "Usage: vdtool $sub "
	cp out direct
	expect 0 "$V" help $sub
	cmp -s out direct || fail "help $sub differs from $sub --help"
	expect 2 "$V" $sub
	says "vdtool $sub --help"
	expect 2 "$V" $sub --no-such-option x y
	says "--no-such-option"
	expect 2 "$V" $sub -Z x y
	says "-Z"
done
# What stands there as not supported yet says so by itself.
later=$(sed -n "/^Not supported yet:/,/^\`/p" help | sed "s/^Not supported yet://; /^\`/d")
[ "$(wc -w <<<"$later")" -ge 5 ] || fail "nothing is left for later"
for later in $later; do
	expect 2 "$V" $later disk.vhdx
	says "$later: not supported yet"
	expect 2 "$V" help $later
done
# Verbs are subcommands of their own.
grep -q "^  meta " help || fail "--help lacks meta"
grep -q "^  fields " help || fail "--help lacks fields"
expect 0 "$V" meta --help
fits_screen "meta --help"
cp out verbs
expect 0 "$V" help meta
cmp -s out verbs || fail "help meta differs from meta --help"
for verb in get set remove list edit validate export import strip attach extract scan diff; do
	grep -q "^  $verb " verbs || fail "meta --help lacks $verb"
	expect 0 "$V" meta $verb --help
	fits_screen "meta $verb --help"
	shows "Usage: vdtool meta $verb "
	cp out direct
	expect 0 "$V" help meta $verb
	cmp -s out direct || fail "help meta $verb differs"
	expect 2 "$V" meta $verb
	says "vdtool meta $verb --help"
	expect 2 "$V" meta $verb --no-such-option x y
done
expect 2 "$V" help meta frobnicate
grep -q "^  policy " help || fail "--help lacks policy"
expect 0 "$V" policy --help
fits_screen "policy --help"
cp out verbs
for verb in check explain test list; do
	grep -q "^  $verb " verbs || fail "policy --help lacks $verb"
	expect 0 "$V" policy $verb --help
	fits_screen "policy $verb --help"
	shows "Usage: vdtool policy $verb "
	expect 2 "$V" policy $verb --no-such-option x y
	[ $verb = list ] || expect 2 "$V" policy $verb
done

expect 2 "$V"
expect 2 "$V" frobnicate
says frobnicate
expect 2 "$V" --frobnicate
expect 2 "$V" create a 1M b
says '"b" is too much'
expect 2 "$V" create --type round a 1M
says "dynamic|fixed"
expect 2 "$V" create --block-size
says "--block-size wants an argument"
expect 2 "$V" create --uuid 1234 a 1M
expect 2 "$V" bench --pattern 256 a
expect 2 "$V" bench -c 0 a
expect 2 "$V" bench --flush-interval 10 a
expect 2 "$V" discard a
expect 2 "$V" discard --offset 0 a
expect 2 "$V" discard --length 1M a
[ -z "$(find . -name 'a*')" ] || fail "wrong usage made a file"

# Options may stand behind operands; -- ends them.
expect 0 "$V" create a.vhdx 4M --quiet
expect 0 "$V" create -- -dash.vhdx 4M
[ -f ./-dash.vhdx ] || fail "no -dash.vhdx"
