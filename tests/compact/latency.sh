#!/bin/bash
# SPDX-License-Identifier: MIT
# How long guests' requests take: the status tells it, the result of a compaction compares it with
# before, and --max-latency makes it wait. The guest is made slow by freezing the host's file system
# for moments, which holds up each write that comes then.
. "$(dirname "$0")/../support/mounts.sh"
need_loop
need jq mkfs.ext4 fsfreeze setsid
need_filesystem ext4

truncate -s 300M host.img
mkfs.ext4 -q -m 0 host.img
mkdir host
attach host.img
mount "$loop" host
mounts+=("$T/host")
$V create host/a.vhdx 128M --block-size 1M -q
pattern 1 67108864 >content
$V write -q host/a.vhdx <content
for ((i = 0; i < 64; i += 2)); do
	$V discard host/a.vhdx --offset ${i}M --length 1M -q
done
cp host/a.vhdx full.vhdx

# It also ends, and lets go, if this test is killed.
cat >freezer <<'END'
while kill -0 $1 && [ ! -e stop ]; do
	fsfreeze -f host
	sleep 0.05
	fsfreeze -u host
	sleep 0.03
done
fsfreeze -u host
END
thaw()
{
	local code=$?
	set +e
	touch stop quiet # the guest, too, ends then
	[ -z "${freezer:-}" ] || wait "$freezer" || true
	(exit $code)
	clean_up
}
trap thaw EXIT
guest()
{
	while [ ! -e quiet ]; do
		dd if=content of="$M/disk" bs=4k count=1 seek=100 conv=notrunc status=none || exit 1
		sleep 0.002
	done
}

begin host/a.vhdx -o rw
expect 0 $V ctl --json host/a.vhdx status
json '.[0].latency | .requests == 0 and .p50_us == null and .p99_us == null'
guest &
guest=$!
has_requests() { $V ctl --json host/a.vhdx status | jq -e ".[0].latency.requests > 10"; }
wait_for has_requests
expect 0 $V ctl --json host/a.vhdx status
json '.[0].latency | .requests > 10 and .p50_us > 0 and .p99_us >= .p50_us'
quick=$(jq '.[0].latency.p50_us' out)
expect 0 $V ctl host/a.vhdx status
shows 'latency      p50 '

# Slow: for at least 50 ms at a time.
setsid bash freezer $$ >/dev/null 2>&1 &
freezer=$!
sleep 1.5
expect 0 $V compact --json --max-latency 20 --max-time 3 host/a.vhdx
cp out slow
json '.[0] | .guest_p99_us > 20000 and .guest_p99_before_us > 0 and .waited_ns > 900000000 and
	(.complete | not)'
says 'stopped after 3 s'
expect 0 $V compact --max-latency 20 --max-time 2 host/a.vhdx
shows 'guest p99 '
shows 'waited because the guest was slow'
touch stop
wait $freezer || true
freezer=

# Slow enough for nobody: no limit, and one that is never reached.
sleep 1.2
expect 0 $V compact --json --max-latency 60000 host/a.vhdx
json '.[0] | .complete and .waited_ns == 0'
touch quiet
wait $guest || fail "the guest's writes failed"
expect 2 $V compact --max-latency never host/a.vhdx
end
expect 0 $V check -q host/a.vhdx
cp full.vhdx b.vhdx
head -c 4096 content | $V write -q b.vhdx --offset 400K
expect 0 $V compare -q host/a.vhdx b.vhdx
# Where nobody is asked there is nobody to wait for.
expect 0 $V compact --json --max-latency 1 b.vhdx
json '.[0] | .complete and .waited_ns == 0 and has("guest_p99_us") == false'
echo "count: microseconds for half of the requests at rest $quick"
echo "count: microseconds for 99 of 100 while it was slow $(jq '.[0].guest_p99_us' slow)"
echo "count: milliseconds that the compaction waited for it $(jq '.[0].waited_ns / 1000000 | floor' slow)"
