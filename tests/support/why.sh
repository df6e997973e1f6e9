# SPDX-License-Identifier: MIT
# Read by bash before each shell test (tests/run sets BASH_ENV): a command that ends a test under
# set -e says what it was and where, as the last line of the log, whatever words the test itself has.
unset BASH_ENV
exec {why_fd}>&2

# why LINE COMMAND: a subshell's end is told by the command that it ends.
why()
{
	local code=$? line=$1 command=$2 frame where=
	[[ $- = *e* ]] && [ "$BASH_SUBSHELL" = 0 ] || return 0
	for ((frame = ${#BASH_LINENO[@]} - 2; frame > 0; frame--)); do
		where+="${BASH_SOURCE[frame + 1]##*/}:${BASH_LINENO[frame]}, "
	done
	printf 'FAILED: %s%s:%s ended with %s: %s\n' "$where" "${BASH_SOURCE[1]##*/}" "$line" "$code" \
		"$command" >&"$why_fd"
}
set -E
trap 'why "$LINENO" "$BASH_COMMAND"' ERR
