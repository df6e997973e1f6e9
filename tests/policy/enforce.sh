#!/bin/bash
# SPDX-License-Identifier: MIT
# What a policy forbids, no command of vdtool does: exit 4 with the reason, and the image is as it
# was. Commands that only look ask nobody. Overrides are found in the history, or in syslog.
. "$(dirname "$0")/../support/syslog.sh"
. "$(dirname "$0")/../support/cli.sh"
need jq
trap 'end_syslog' EXIT
begin_syslog

# rules NAME RULES...: a folder of rules.
rules()
{
	local name=$1
	shift
	mkdir -p "$name"
	printf '<policy xmlns="urn:libvdisk:policy:1">\n%s\n</policy>\n' "$*" >"$name/10.xml"
}
rules deny '<rule id="closed" actions="*" effect="deny"><reason>not here</reason></rule>'
rules read '<rule id="frozen" actions="*" effect="read-only"><reason>evidence</reason></rule>'
rules gold '<rule id="gold" actions="convert" effect="deny"><when>tag:gold</when><reason>stays here</reason></rule>'
rules broken '<rule id="closed"'
none=$T/none # isn't there: the built-in rules

$V create a.vhdx 16M -q
$V tag a.vhdx +web
echo guest | $V write a.vhdx
echo hello >note.txt
$V meta attach a.vhdx note.txt --kind none
$V meta set a.vhdx expires=2020-01-31
$V create gold.vhdx 16M -q
$V tag gold.vhdx +gold
$V meta export a.vhdx exported
cp a.vhdx kept
unchanged()
{
	cmp -s a.vhdx kept || fail "the image has changed: $*"
}

# ---- who asks
hands_out=("read a.vhdx --length 512" "convert a.vhdx out.vhdx" "meta export a.vhdx folder" "meta extract a.vhdx note.txt out.txt")
changes=("tag a.vhdx +new" "meta set a.vhdx title=x" "meta remove a.vhdx tags" "meta import a.vhdx exported"
	"meta strip a.vhdx" "meta attach a.vhdx note.txt" "meta scan a.vhdx" "meta edit a.vhdx tags"
	"write a.vhdx" "discard a.vhdx --offset 0 --length 2M" "bench a.vhdx -w -c 10" "compact a.vhdx")
cat >editor <<'END'
#!/bin/sh
sed -i 's/web/net/' "$1"
END
chmod +x editor
export EDITOR=$T/editor VISUAL=$T/editor TMPDIR=$T
# ask WORDS OPTIONS...: the command of those words; tag wants its options first.
ask()
{
	local words n=1
	read -ra words <<<"$1"
	shift
	[ "${words[0]}" != meta ] || n=2
	echo other | "$V" "${words[@]:0:n}" "$@" "${words[@]:n}"
}

for command in "${hands_out[@]}" "${changes[@]}"; do
	expect 4 ask "$command" --policy deny
	says "denied by rule closed"
	says "10.xml:2"
	says "not here"
	says "--override"
	unchanged "$command"
	expect 4 ask "$command" --policy broken
	says "10.xml"
	unchanged "$command"
done
for left in folder out.vhdx out.txt; do
	[ ! -e $left ] || fail "$left was made"
done
expect 4 ask "convert a.vhdx out.vhdx" --policy deny --json
json '.[0].error.code == "denied"'
expect 4 ask "tag a.vhdx +new" --policy deny --json
json '.[0].error.code == "denied"'

# ---- who doesn't, and what the built-in rules leave alone
for command in "inspect a.vhdx" "inspect --blocks a.vhdx" "check a.vhdx" "map a.vhdx" "log a.vhdx" "log --verify a.vhdx" \
	"tag a.vhdx" "meta list a.vhdx" "meta get a.vhdx expires" "meta validate a.vhdx" "meta diff a.vhdx a.vhdx" \
	"compare a.vhdx a.vhdx" "bench a.vhdx -c 10"; do
	expect 0 ask "$command"
	unchanged "$command"
done
expect 0 $V compact --dry-run --policy deny a.vhdx
unchanged "compact --dry-run"
if "$V" help search >/dev/null 2>&1; then
	expect 0 "$V" search 'tag:web' .
	shows a.vhdx
fi
for command in "${hands_out[@]}"; do
	expect 0 ask "$command" --policy "$none"
	unchanged "$command"
done
rm -rf folder out.vhdx out.txt

# ---- what may be read but not written
for command in "${hands_out[@]}"; do
	expect 0 ask "$command" --policy read
	unchanged "$command"
done
rm -rf folder out.vhdx out.txt
for command in "${changes[@]}"; do
	expect 4 ask "$command" --policy read
	says "denied by rule frozen"
	unchanged "$command"
done

# ---- a rule on the content: one image of two
expect 0 $V convert a.vhdx out.vhdx --policy gold
expect 4 $V convert gold.vhdx gold.raw --format raw --policy gold
says "stays here"
[ ! -e gold.raw ]
# What travels with it counts, wherever it lies.
$V convert a.vhdx --format raw disk.raw -q
mkdir side
$V tag --sidecar side disk.raw +gold
expect 0 $V convert disk.raw out.vhdx --force --policy gold
expect 4 $V convert disk.raw out.vhdx --force --policy gold --source-sidecar side

# ---- overrides
expect 2 $V tag --policy deny --override= a.vhdx +new
expect 2 $V tag --policy deny '--override= ' a.vhdx +new
unchanged "an empty reason"
expect 4 $V read --policy '' a.vhdx -l 512
says "the name of the folder of rules is empty"
rm -rf folder out.vhdx out.txt
for command in "${hands_out[@]}"; do
	expect 0 ask "$command" --policy deny --override "ticket $command"
	says "overridden"
	unchanged "$command"
	logged "reason: ticket $command"
done
logged "action convert, rule closed"
logged "action export, rule closed"
logged "$T/a.vhdx"
n_overrides()
{
	"$V" log --json "$1" | jq '[.[0].entries[] | select(.operation == "override")] | length'
}
for command in "tag a.vhdx +new" "meta set a.vhdx title=x" "meta attach a.vhdx note.txt" \
	"meta edit a.vhdx tags" "write a.vhdx" "discard a.vhdx --offset 0 --length 2M" "bench a.vhdx -w -c 10" \
	"compact a.vhdx" "meta scan a.vhdx"; do
	cp kept a.vhdx
	expect 0 ask "$command" --policy deny --override "mine: $command" --actor me
	[ "$(n_overrides a.vhdx)" = 1 ] || fail "$command: $(n_overrides a.vhdx) overrides in the history"
	expect 0 $V log --json a.vhdx
	json '.[0].entries[] | select(.operation == "override") | .actor == "me" and
		(.parameters | test("rule closed: mine: "))'
	expect 0 $V log --verify a.vhdx
	not_logged "mine: $command"
done
# The history that it would stand in goes with it.
cp kept a.vhdx
expect 0 $V meta strip a.vhdx --policy deny --override "no traces"
logged "reason: no traces"
# Nothing of ours, nowhere to stand.
$V create bare.vhdx 16M -q
echo x | expect 0 $V write bare.vhdx --policy deny --override "bare"
logged "reason: bare"
expect 0 $V meta list --json bare.vhdx
json '.[0].records == []'
# An override that isn't needed leaves nothing.
cp kept a.vhdx
expect 0 $V tag --policy "$none" --override "just in case" a.vhdx +new
[ "$(n_overrides a.vhdx)" = 0 ] || fail "an override of nothing"
# Nothing in a reason begins a new line of a log.
expect 0 $V read a.vhdx -l 512 --policy deny --override $'two\nlines \033[31m'
logged 'two\x0alines \x1b[31m'

# ---- the rules of the site, without being told where they are
if own_rules; then
	cp kept a.vhdx
	expect 0 $V convert a.vhdx out.vhdx --force
	cp deny/10.xml /etc/vdisk/policy.d/
	for command in "${hands_out[@]}" "${changes[@]}"; do
		expect 4 ask "$command"
		says "/etc/vdisk/policy.d/10.xml:2"
		unchanged "$command"
	done
	expect 0 $V compact --dry-run a.vhdx
	expect 0 $V inspect a.vhdx
	expect 0 $V check a.vhdx
	# A new image is nobody's concern, nor is a bench that only reads.
	expect 0 $V create --history new.vhdx 16M
	expect 0 $V bench -c 10 new.vhdx
	expect 4 $V bench -w -c 10 new.vhdx
	# Who takes others' rules takes theirs alone.
	expect 0 $V read a.vhdx -l 512 --policy "$none"
	rm -r /etc/vdisk/policy.d
	expect 0 $V read a.vhdx -l 512
else
	echo "not looked at, for want of a mount namespace: the rules in /etc/vdisk/policy.d"
fi
