#!/bin/bash
# SPDX-License-Identifier: MIT
# Whatever happens to images between two syncs, a catalog answers what a look into them answers: names
# that are exchanged, links, sidecars that come and go, changes within a tick of the clock, file indexes
# that are damaged; for PATHs that overlap, with --exclude, for users who may only read.
. "$(dirname "$0")/../support/cli.sh"
need jq mke2fs sqlite3
item=$B/tests/meta/itemctl

sync() { expect 0 "$V" catalog sync --catalog c.db --json im "$@"; }
# same QUERY WORDS...: both ways tell the same images for the same reasons, and exit the same way.
n_same=0
same()
{
	local direct=0 catalog=0
	"$V" search --jsonl "$@" 2>direct.err | sort >direct.out || direct=${PIPESTATUS[0]}
	"$V" search --jsonl --catalog c.db "$@" 2>catalog.err | sort >catalog.out || catalog=${PIPESTATUS[0]}
	cmp -s direct.out catalog.out || {
		diff direct.out catalog.out >&2 || true
		cat catalog.err >&2
		fail "search $*: a catalog answers otherwise"
	}
	[ "$direct" = "$catalog" ] || fail "search $*: exit $direct, of a catalog $catalog"
	n_same=$((n_same + 1))
}
same_all()
{
	local query
	for query in '*' tag:who=a 'tag:who=b OR NOT tag:who' 'image.name:[a-d]*' 'image.path:im/*' tag:new \
		metadata.damaged:true metadata.place:sidecar; do
		same "$query" im
	done
}

mkdir im
"$V" create -q im/a.vhdx 8M
for name in b c; do cp im/a.vhdx im/$name.vhdx; done
for name in a b c; do "$V" tag -q im/$name.vhdx who=$name; done
truncate -s 1M im/r.raw
sync
same_all

# ---- names exchanged, by two and by three; one moves while another takes its name
mv im/a.vhdx t && mv im/b.vhdx im/a.vhdx && mv t im/b.vhdx
sync
same_all
mv im/a.vhdx t && mv im/b.vhdx im/a.vhdx && mv im/c.vhdx im/b.vhdx && mv t im/c.vhdx
sync
same_all
mkdir im/d
mv im/a.vhdx im/d/ && cp im/b.vhdx im/a.vhdx
sync
same_all
mv im/d im/e
sync
same_all

# ---- another file of the same size and mtime; more names of one file
cp im/a.vhdx new && touch -r im/b.vhdx new && mv new im/b.vhdx
sync
same_all
ln im/b.vhdx im/link.vhdx
sync
"$V" tag -q im/link.vhdx +new
sync
same_all
rm im/b.vhdx
sync
same_all

# ---- sidecars come, go, and stay behind when their image moves
"$V" tag -q im/r.raw +new
sync
same_all
mv im/r.raw.vdmeta kept
sync
same_all
mv kept im/r.raw.vdmeta
sync
mv im/r.raw im/q.raw
sync
same_all
mv im/r.raw.vdmeta im/q.raw.vdmeta
sync
same_all

# ---- changes in the same tick as the sync
for i in 1 2 3 4 5; do
	"$V" tag -q im/link.vhdx n=$i
	sync
	"$V" tag -q im/link.vhdx n=x$i
	sync
	same tag:n=x$i im
done

# ---- what PATHs and options mean
same '*' im im/e
same '*' im/e im ./im im
same '*' im im/q.raw
same '*' im --exclude '*.raw'
same '*' im --exclude e
same '*' im im/e --exclude e
same '*' im --exclude 'im/e/*' --exclude l*
same '*' im --exclude im
expect 2 "$V" search '*' --catalog c.db -x
says -x
expect 2 "$V" search '*' --catalog c.db --sidecar .
says --sidecar
expect 0 "$V" search '*' --catalog c.db --exclude '*.raw' -q
[ "$(wc -l <out)" = "$(find im -name '*.vhdx' | wc -l)" ] || fail "--exclude without PATHs"
# Each image is synced once, however often it is met.
expect 0 "$V" catalog sync --catalog twice.db --json im im/e ./im
json ".[0].images == $(find im -name '*.vhdx' -o -name '*.raw' | wc -l) and .[0].unchanged == 0 and .[0].changed == 0"

# ---- an image whose file index is damaged is told; the others are searched
mkdir -p root/etc
for i in {1..300}; do echo "$i" >root/etc/f$i; done
mke2fs -q -t ext4 -d root fs.raw 16M
for i in 1 2 3; do "$V" convert -q fs.raw im/fs$i.vhdx; "$V" meta scan -q --files im/fs$i.vhdx >/dev/null; done
id=$("$V" meta list --json im/fs2.vhdx | jq -r '.[0].records[] | select(.name == ".vdisk/files") | .id')
"$item" get im/fs2.vhdx "$id" >bytes
printf '\245' | dd of=bytes bs=1 seek=400 conv=notrunc status=none
"$item" put im/fs2.vhdx "$id" 3 <bytes
sync
for query in file:etc/f7 'NOT file:etc/f7' 'file:none OR file:etc/f300' 'tag:new OR file:etc/f1'; do
	same "$query" im
	grep -q '^vdtool: im/fs2.vhdx: ' catalog.err || fail "$query: isn't told of"
done
[ -s catalog.out ] || fail "nothing was found"
expect 1 "$V" search --strict --catalog c.db file:etc/f7 im
expect 0 "$V" search --count --json --catalog c.db file:etc/f7 im
json '.[0].count == 2 and .[0].skipped == 1'

# ---- killed at any moment; two at once
mkdir -p many
"$B/tests/bench/copies" im/a.vhdx many 0 300
n_cut=0
for delay in 0.003 0.006 0.01 0.015 0.02 0.03 0.04; do
	"$V" catalog sync -q --catalog kill.db many >/dev/null 2>&1 &
	pid=$!
	sleep $delay
	kill -KILL $pid 2>/dev/null || true
	rc=0
	wait $pid 2>/dev/null || rc=$?
	[ $rc != 137 ] || n_cut=$((n_cut + 1))
done
# Several that make it at the same moment.
mkdir one
cp im/a.vhdx one/
for i in {1..4}; do
	rm -f fresh.db*
	pids=()
	for k in {1..5}; do
		"$V" catalog sync -q --catalog fresh.db one >/dev/null 2>err$k &
		pids[k]=$!
	done
	for k in {1..5}; do
		wait "${pids[k]}" || fail "of several that make a catalog one fails: $(cat err$k)"
	done
done
# Two at once, again and again, while images come, go and move: each waits for the other.
n_pairs=0
n_kept=300
for i in {1..30}; do
	case $((i % 3)) in
	0) mv "$(find many -name '*.vhdx' | sort | sed -n "${i}p")" many/moved$i.vhdx ;;
	1) rm "$(find many -name '*.vhdx' | sort | sed -n "${i}p")" && n_kept=$((n_kept - 1)) ;;
	esac
	"$V" catalog sync -q --catalog kill.db many >out1 2>err1 &
	first=$!
	expect 0 "$V" catalog sync -q --catalog kill.db many
	wait $first || fail "one of two syncs: $(cat err1)"
	n_pairs=$((n_pairs + 1))
done
[ "$("$V" search -q --count --catalog kill.db '*')" = $n_kept ] || fail "after SIGKILL"
[ "$(sqlite3 kill.db 'SELECT n = '$n_kept' FROM total; PRAGMA integrity_check')" = "1
ok" ] || fail "after SIGKILL the database is damaged"

# ---- who may only read: in a folder where nothing can be made, nothing is left behind
drop=()
[ "$(id -u)" != 0 ] || drop=(setpriv --reuid 65534 --regid 65534 --clear-groups)
mkdir 'shut ?#%41'
cp c.db 'shut ?#%41/c.db'
chmod 755 "$T"
chmod 644 shut*/c.db
chmod 555 shut*
if "${drop[@]}" "$V" --version >/dev/null 2>&1 && "${drop[@]}" test -r "$T"/shut*/c.db; then
	expect 0 "${drop[@]}" "$V" search --catalog shut*/c.db tag:new
	[ "$(wc -l <out)" = "$("$V" search -q --count --catalog c.db tag:new)" ] || fail "a reader finds less"
	expect 0 "${drop[@]}" "$V" catalog status --catalog shut*/c.db
	[ "$(ls shut*)" = c.db ] || fail "something was left behind"
	expect 4 "${drop[@]}" "$V" catalog sync --catalog shut*/c.db im
	# Whom a sync can't wait for hears of it.
	mkfifo -m 666 go gone
	{
		read -r _ <go
		chmod 755 shut*
		"$V" tag -q im/link.vhdx +meanwhile
		"$V" catalog sync -q --catalog shut*/c.db im >/dev/null
		echo >gone
	} &
	expect 5 "${drop[@]}" "$V" search --catalog shut*/c.db tag:n=x5 --exec sh -c 'echo >"$1/go"; read -r _ <"$1/gone"' {} "$T"
	says "written while it was read"
	wait $!
else
	echo "no reader: left out, another user can't run $V"
fi
chmod 755 shut*

# ---- a file system that is really full, or read-only: what is there can be asked
if [ "$(id -u)" = 0 ] && mkdir small && mount -t tmpfs -o size=1M none small 2>/dev/null; then
	trap 'umount -l "$T/small"' EXIT
	expect 0 "$V" catalog sync --catalog small/c.db im
	n=$("$V" search -q --count --catalog small/c.db tag:new)
	dd if=/dev/zero of=small/fill bs=4k 2>/dev/null || true
	expect 1 "$V" catalog sync --catalog small/c.db many
	grep -q "no room\|No space" err || fail "why isn't said"
	expect 0 "$V" search --catalog small/c.db tag:new
	[ "$(wc -l <out)" = "$n" ] || fail "on a full disk"
	rm -f small/fill
	expect 0 "$V" catalog sync --catalog small/c.db many
	mount -o remount,ro small
	expect 0 "$V" search --catalog small/c.db tag:new
	[ "$(wc -l <out)" = "$n" ] || fail "on a read-only file system"
	expect 1 "$V" catalog sync --catalog small/c.db im
else
	echo "full and read-only file systems: left out, nothing can be mounted here"
fi

# ---- a catalog that can't be asked gives no figures
expect 1 "$V" search --catalog none.db '*'
[ "$(wc -l <err)" = 1 ] || fail "figures of nothing"
echo "count: searches of a catalog and of its images $n_same"
echo "count: syncs cut off by SIGKILL $n_cut"
echo "count: pairs of syncs at once $n_pairs"
