#!/bin/bash
# SPDX-License-Identifier: MIT
# The tree keeps its layers, and the check that says so finds what breaks them.
set -eu

"$TOP/tests/house/check-layers" "$TOP"

# Planted in a copy: FILE, the line, and what the check must say; or "clean" for what is allowed.
mkdir tree
cp -r "$TOP"/{libvdisk,vdtool,vdfuse,control,compactor} tree/
n=0
planted() {
	local file=tree/$1 was=0

	[ ! -e "$file" ] || { cp "$file" kept && was=1; }
	mkdir -p "$(dirname "$file")"
	printf '%s\n' "$2" >>"$file"
	if "$TOP/tests/house/check-layers" tree 2>found; then
		echo 'nothing to report' >found
	fi
	grep -qF "$3" found || { echo "'$2' in $1: wanted \"$3\", got:"; cat found; exit 1; }
	rm "$file"
	[ "$was" = 0 ] || mv kept "$file"
	n=$((n + 1))
}

planted libvdisk/base/span.c '#include "io/io.h"' 'base/ includes "io/io.h", which is a layer above'
planted libvdisk/io/planted.c '#include "format/probe.h"' 'io/ includes "format/probe.h", which is a layer'
planted libvdisk/format/raw/planted.c '#include "disk/disk.h"' 'format/ includes "disk/disk.h", which is a'
planted libvdisk/format/raw/planted.c '#include "format/vhdx/vhdx.h"' 'format raw includes its sibling "format/vhdx/'
planted libvdisk/format/raw/planted.c '#include "raw.h"' 'include "raw.h": spell it from libvdisk/'
planted libvdisk/cellar/planted.c 'int x;' 'the room cellar has no place in the layers'
planted libvdisk/include/vdisk/planted.h '#include "base/span.h"' 'a public header includes "base/span.h"'
planted vdtool/planted.c '#include "base/span.h"' 'a tool includes "base/span.h"'
planted libvdisk/guest/planted.c '#include "meta/record.h"' 'which is a sibling'
planted libvdisk/meta/planted.c '#include "disk/disk.h"' 'of the core only base/'
planted libvdisk/meta/planted.c '#include <libxml/tree.h>' 'libxml2 outside xml/'
planted compactor/planted.c '#include "base/span.h"' 'a tool includes "base/span.h"'
planted libvdisk/disk/planted.c 'n = pread(fd, p, 1, 0);' 'planted.c:1: pread() outside io/'
planted libvdisk/format/planted.c 'x = "a\"b" + fdatasync (fd);' 'fdatasync() outside io/'
planted libvdisk/base/planted.c 'p = malloc(3);' 'malloc() outside base/alloc.c'
planted libvdisk/io/planted.c '/* why */ printf("%s", p); // so' 'printf() in the library'
planted libvdisk/disk/planted.c 'exit(1);' 'exit() in the library'
planted libvdisk/disk/planted.c 'pthread_create(&t, 0, f, 0);' 'pthread_create() in the library'

planted libvdisk/xml/planted.c '#include <libxml/tree.h>' 'nothing to report'
planted libvdisk/image/planted.c '#include "xml/doc.h"' 'nothing to report'
planted libvdisk/disk/planted.c '#include "format/formats.h"' 'nothing to report'
planted libvdisk/disk/planted.c 'ops->read(s); ops.open(s); vd_io_write(io); /* exit(1) */' 'nothing to report'
planted libvdisk/disk/planted.c 's = "call exit(1)"; c = '\''"'\''; snprintf(b, 1, "");' 'nothing to report'
planted libvdisk/disk/planted.c '/* over "two' 'nothing to report'
planted vdtool/planted.c '#include "options/options.h"' 'nothing to report'
planted vdfuse/planted.c '#include "options/options.h"' 'a tool includes "options/options.h"'
planted vdtool/planted.c 'printf("x"); exit(1);' 'nothing to report'
echo "$n planted lines judged rightly"
