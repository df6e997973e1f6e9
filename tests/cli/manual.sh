#!/bin/bash
# SPDX-License-Identifier: MIT
# The man page in docs/man is what the table gives, and both it and the completion are well-formed.
. "$(dirname "$0")/../support/cli.sh"

expect 0 "$V" --generate man
cp out vdtool.1
cmp -s vdtool.1 "$TOP/docs/man/vdtool.1" ||
	fail "docs/man/vdtool.1 is stale: vdtool --generate man > docs/man/vdtool.1"
if command -v mandoc >/dev/null; then
	expect 0 mandoc -Tlint vdtool.1
	[ ! -s out ] || fail "mandoc -Tlint"
fi
subs=(create inspect check map convert compare read write discard bench tag log fields)
for verb in get set remove list edit validate export import strip attach extract scan diff; do
	subs+=("meta $verb")
done
for verb in check explain test list; do
	subs+=("policy $verb")
done
for sub in "${subs[@]}"; do
	# shellcheck disable=SC2086
	grep -q "^.SS vdtool $sub " vdtool.1 || fail "man page lacks $sub"
	# Each option that help shows is in the manual too.
	for option in $("$V" $sub --help | grep -oE '^ +(-., )?--[a-z-]+' | grep -oE -- '--.*'); do
		grep -qF -- "${option//-/\\-}" vdtool.1 || fail "man page lacks $option"
	done
done
for section in "EXIT STATUS" SIZE FILES EXAMPLES; do
	grep -q "^.SH $section" vdtool.1 || fail "man page lacks $section"
done
expect 2 "$V" --generate poem

expect 0 "$V" --generate completion
cp out completion
. ./completion
complete_words()
{
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	COMPREPLY=()
	_vdtool 2>/dev/null # compopt complains outside of a completion
	echo "${COMPREPLY[*]}"
}
[ "$(complete_words vdtool con)" = "convert" ] || fail "completion of subcommands"
[ "$(complete_words vdtool convert --fo)" = "--format --force" ] || fail "completion of options"
[ "$(complete_words vdtool create --type f)" = "fixed" ] || fail "completion of choices"
[ "$(complete_words vdtool meta ex)" = "export extract" ] || fail "completion of verbs"
[ "$(complete_words vdtool help meta ed)" = "edit" ] || fail "completion of verbs behind help"
[ "$(complete_words vdtool meta attach --ki)" = "--kind" ] || fail "completion of a verb's options"
[ "$(complete_words vdtool meta attach --kind s)" = "state" ] || fail "completion of a verb's choices"
[ "$(complete_words vdtool hist)" = "history" ] || fail "completion of an alias"
[ "$(complete_words vdtool history --ver)" = "--verify" ] || fail "completion of an alias's options"
touch disk.vhdx
[ "$(complete_words vdtool inspect di)" = "disk.vhdx" ] || fail "completion of files"
