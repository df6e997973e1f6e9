#!/bin/bash
# SPDX-License-Identifier: MIT
# Each public header compiles alone, twice over and together with all others, as strict C11 and as
# C++, and its initialisers can be used in both.
set -eu

cd "$TOP/libvdisk/include"
mapfile -t headers < <(find vdisk -name '*.h' | sort)
[ "${#headers[@]}" -ge 5 ]
n=0
for cc in 'gcc -std=c11 -x c' 'g++ -std=c++11 -x c++' 'clang -std=c11 -x c' 'clang++ -std=c++11 -x c++'; do
	command -v "${cc%% *}" >/dev/null || { echo "no ${cc%% *} here"; continue; }
	strict="$cc -I. -pedantic -Wall -Wextra -Werror -fsyntax-only -"
	for header in "${headers[@]}"; do
		printf '#include <%s>\n#include <%s>\nint unused;\n' "$header" "$header" | $strict
		n=$((n + 1))
	done
	{
		printf '#include <%s>\n' "${headers[@]}"
		echo 'struct vd_error err = VD_ERROR_INIT;'
		echo 'struct vd_open_opts open_opts = VD_OPEN_OPTS_INIT;'
		echo 'struct vd_create_opts create_opts = VD_CREATE_OPTS_INIT;'
		echo 'struct vd_meta_opts meta_opts = VD_META_OPTS_INIT;'
		echo 'struct vd_image_opts image_opts = VD_IMAGE_OPTS_INIT;'
	} | $strict
done
echo "$n compilations"

# A mistake is noticed.
echo 'size_t x;' >"$T/lacks_include.h"
! gcc -std=c11 -x c -fsyntax-only "$T/lacks_include.h" 2>/dev/null || exit 1
