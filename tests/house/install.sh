#!/bin/bash
# SPDX-License-Identifier: MIT
# What `make install` puts down is what a user needs to compile, link and run; uninstall takes it
# away again.
set -eu

root=$T/root
make -s -C "$TOP" install DESTDIR="$root" prefix=/opt/vd >log || { cat log; exit 1; }

cat >user.c <<'END'
#include <stdio.h>
#include <vdisk/disk.h>

int main(void)
{
	printf("%s\n", vd_version());
	return vd_disk_close(NULL, NULL);
}
END
export PKG_CONFIG_PATH=$root/opt/vd/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$root
version=$(pkg-config --modversion libvdisk)
# shellcheck disable=SC2046
gcc -Wall -Werror user.c -o shared $(pkg-config --cflags --libs libvdisk)
readelf -d shared | grep -q 'NEEDED.*\[libvdisk.so.0\]'
[ "$(LD_LIBRARY_PATH=$root/opt/vd/lib ./shared)" = "$version" ]
# shellcheck disable=SC2046
gcc -Wall -Werror user.c -o static $(pkg-config --cflags libvdisk) "$root/opt/vd/lib/libvdisk.a" \
	$(pkg-config --static --libs-only-l libvdisk | sed 's/-lvdisk//')
[ "$(./static)" = "$version" ]

# A program of the uppermost library finds the lower ones.
sed -e 's,disk\.h,compact.h,' -e 's,vd_version(),vd_compact_level_name(VD_COMPACT_PACK),' user.c >upper.c
# shellcheck disable=SC2046
gcc -Wall -Werror upper.c -o upper $(pkg-config --cflags --libs libvdisk-compact)
[ "$(LD_LIBRARY_PATH=$root/opt/vd/lib ./upper)" = pack ]

[ "$(readlink "$root/opt/vd/lib/libvdisk.so.0")" = "libvdisk.so.$version" ]
"$root/opt/vd/bin/vdtool" --version | grep -qF "$version"
for page in man1/vdtool.1 man3/libvdisk.3 man3/libvdisk-meta.3 man3/libvdisk-compact.3; do
	[ -s "$root/opt/vd/share/man/$page" ] || { echo "no $page"; exit 1; }
done
bash -n "$root/opt/vd/share/bash-completion/completions/vdtool"

make -s -C "$TOP" uninstall DESTDIR="$root" prefix=/opt/vd >log || { cat log; exit 1; }
left=$(find "$root" ! -type d)
[ -z "$left" ] || { echo "left behind: $left"; exit 1; }
