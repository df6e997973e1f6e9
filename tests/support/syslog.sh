# SPDX-License-Identifier: MIT
# Sourced first by tests that look into the system's log, or set the site's rules. As root they go on
# in a mount namespace of their own, where they may have a /dev whose /dev/log the test reads, and an
# /etc: nothing reaches those of the host. Elsewhere has_syslog is empty, and logged says that it
# didn't look.
if [ -z "${VD_OWN_DEV:-}" ] && [ "$(id -u)" -eq 0 ] && unshare -m true 2>/dev/null; then
	VD_OWN_DEV=1 BASH_ENV="$(dirname "${BASH_SOURCE[0]}")/why.sh" exec unshare -m bash "$0" "$@"
fi
has_syslog=
syslog_pid=

# begin_syslog: from now on the messages are in $T/syslog.
begin_syslog()
{
	local node

	[ -n "${VD_OWN_DEV:-}" ] || return 0
	mkdir "$T/dev"
	mount --rbind /dev "$T/dev" && mount -t tmpfs none /dev || return 0
	for node in null zero full random urandom tty fuse; do
		[ -e "$T/dev/$node" ] || continue
		: >"/dev/$node"
		mount --bind "$T/dev/$node" "/dev/$node"
	done
	ln -s /proc/self/fd /dev/fd
	"$B/tests/policy/syslog_catch" /dev/log >"$T/syslog" &
	syslog_pid=$!
	wait_for test -S /dev/log
	has_syslog=1
}

# own_rules: /etc/vdisk/policy.d is ours from now on; false where it can't be.
own_rules()
{
	[ -n "${VD_OWN_DEV:-}" ] || return 1
	mkdir "$T/etc"
	cp -a /etc/. "$T/etc/" && mount --bind "$T/etc" /etc || return 1
	rm -rf /etc/vdisk/policy.d
	mkdir -p /etc/vdisk/policy.d
}

end_syslog()
{
	[ -z "$syslog_pid" ] || kill "$syslog_pid"
}

# logged TEXT: a message says so, soon.
logged()
{
	if [ -n "$has_syslog" ]; then
		wait_for grep -qF -- "$1" "$T/syslog"
	else
		echo "not looked at, for want of a mount namespace: syslog about \"$1\""
	fi
}

# not_logged TEXT
not_logged()
{
	if [ -n "$has_syslog" ] && grep -qF -- "$1" "$T/syslog"; then
		fail "syslog says \"$1\": $(cat "$T/syslog")"
	fi
}
