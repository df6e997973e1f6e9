# SPDX-License-Identifier: MIT
# Sourced by run: the same images in a catalog. search_rows.sh makes them and calls this.

# timed_row WORK LIMIT TARGET FUNCTION: median of a figure in seconds, and the memory that it took.
catalog_row() {
	local work=$1 limit=$2 target=$3 each=$4 i times=''
	for ((i = 0; i < rounds; i++)); do
		times+=" $(seconds "$each")"
	done
	awk -v w="$work" -v t="$(median "$times")" -v l="$limit" -v target="$target" \
		-v kib="$(cat memory)" 'BEGIN {
		printf "%s|%.4f s, %.1f MiB|-|%.2f|%s, <= 64 MiB|%s\n", w, t, kib / 1024, t / l, target,
			t <= l && kib <= 65536 ? "yes" : "NO" }'
	echo "$work: $(type "$each" | sed -n '/^{/,/^}/{/^[{}]/d;s/^ *//;p}' | tr '\n' ' ')" >>commands
}
with_memory() {
	if [ -x /usr/bin/time ]; then
		/usr/bin/time -f %M -o memory "$@"
	else
		echo 0 >memory
		"$@"
	fi
}
sync_unchanged() { with_memory "$tool" catalog sync --catalog many.db many | grep -q "$search_n unchanged"; }
ask_few() { with_memory "$tool" search -q --catalog many.db 'tag:few AND os.id:debian12' >found && [ "$(wc -l <found)" = 100 ]; }
ask_all() { with_memory "$tool" search -q --count --catalog many.db os.id:debian12 | grep -qx "$search_n"; }
ask_files() { with_memory "$tool" search -q --count --catalog files.db 'file:**/log4j-core-2.1[0-4]*.jar' | grep -qx "$files_n"; }

# files.db: images whose file indexes name 60,000 files each, made from one base: 1,000 with VD_LONG=1.
make_indexed() {
	local i
	files_n=50
	[ -z "${VD_LONG:-}" ] || files_n=1000
	mkdir -p tree/lib
	for ((i = 0; i < 60; i++)); do
		mkdir "tree/lib/package-$i"
		(cd "tree/lib/package-$i" && seq -f 'module-%04g-of-the-package.so' 1000 | xargs touch)
	done
	touch tree/lib/log4j-core-2.14.1.jar
	truncate -s 256M tree.raw
	mkfs.ext4 -q -N 65000 -d tree tree.raw
	"$tool" convert -q tree.raw tree.vhdx
	"$tool" meta scan -q --files tree.vhdx >/dev/null
	rm -rf tree tree.raw
	"$copies" tree.vhdx indexed 0 "$files_n"
	"$tool" catalog sync -q --catalog files.db indexed >&2
}

rows_catalog() {
	local i
	copies=$B/tests/bench/copies
	cp --sparse=always many.vhdx few.vhdx
	"$tool" tag -q few.vhdx +few
	for ((i = 0; i < 100; i++)); do
		cp --sparse=always few.vhdx "many/d0000/few$i.vhdx"
	done
	search_n=$((search_n + 100))
	"$tool" catalog sync -q --catalog many.db many >&2
	catalog_row "catalog of $search_n: sync, all unchanged" 2 '<= 2 s' sync_unchanged
	catalog_row "catalog of $search_n: find 100" 0.005 '<= 5 ms' ask_few
	catalog_row "catalog of $search_n: count all" 0.150 '<= 150 ms' ask_all
	has mkfs.ext4 || return 0
	make_indexed
	catalog_row "catalog of $files_n images x 60,000 files: find one file in all" 1 '<= 1 s' ask_files
	rm -rf indexed files.db tree.vhdx many.db few.vhdx
}
