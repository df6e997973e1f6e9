#!/bin/bash
# SPDX-License-Identifier: MIT
# An image that somebody holds whom this system doesn't show: another host by a shared file system,
# or, as here, a process outside of our PID namespace. The lock is all that there is to see: exit
# code 5, and words that don't blame a process of ours. Looking goes on.
. "$(dirname "$0")/../support/cli.sh"
need jq unshare
unshare -p -f --mount-proc true 2>/dev/null || {
	echo "skipped: no PID namespaces can be made here"
	exit 77
}
elsewhere() { unshare -p -f --mount-proc "$@"; }

$V create a.vhdx 16M
$V create b.vhdx 16M
mkfifo pipe
$V write a.vhdx <pipe &
holder=$!
exec 9>pipe
is_in_use() { $V inspect --json a.vhdx | jq -e '.[0].in_use != null'; }
wait_for is_in_use

# Here the holder is seen, there it isn't.
expect 5 $V check a.vhdx
says "(pid $holder)"
for use in "check a.vhdx" "read a.vhdx" "compare b.vhdx a.vhdx" "convert a.vhdx n.vhdx" "write a.vhdx" \
	"discard --offset 0 --length 1M a.vhdx" "compact a.vhdx" "compact --dry-run a.vhdx" \
	"tag a.vhdx +x" "ctl a.vhdx status" "ctl a.vhdx generation" "create --force a.vhdx 1M"; do
	# shellcheck disable=SC2086
	expect 5 elsewhere $V $use </dev/null
	[ "$use" = "create --force a.vhdx 1M" ] ||
		says "a.vhdx: in use, and by no process that can be seen here: by another host"
	if grep -q 'pid [0-9]' err; then fail "$use: it names a process: $(cat err)"; fi
	[ "$(wc -l <err)" = 1 ] || fail "$use: $(cat err)"
done
expect 5 elsewhere $V check --json a.vhdx
json '.[0].error.code == "busy"'
for look in "inspect a.vhdx" "map a.vhdx" "tag a.vhdx"; do
	# shellcheck disable=SC2086
	expect 0 elsewhere $V $look
done
exec 9>&-
wait $holder
expect 0 elsewhere $V check a.vhdx
