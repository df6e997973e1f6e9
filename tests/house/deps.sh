#!/bin/bash
# SPDX-License-Identifier: MIT
# What is missing gets installed by root; others are told the one command that does it.
set -eu

mkdir fake
# A machine that has everything but jq; apt-get only notes what it is asked for.
cat >fake/dpkg-query <<'END'
#!/bin/sh
for word; do
	case $word in
	-* | *{* | jq) ;;
	*) echo "installed $word" ;;
	esac
done
[ ! -e has_jq ] || echo installed jq
END
printf '#!/bin/sh\ncat uid\n' >fake/id
printf '#!/bin/sh\necho "$@" >>asked\n' >fake/apt-get
chmod +x fake/*
export PATH=$T/fake:$PATH

echo 1000 >uid
! "$TOP/tests/deps" 2>out || { echo 'a missing package was passed over'; exit 1; }
grep -qx '  sudo apt-get update && sudo apt-get install --no-install-recommends -y jq' out
[ ! -e asked ]

echo 0 >uid
"$TOP/tests/deps" >out
grep -qx 'update -q' asked
grep -qx 'install -q --no-install-recommends -y jq' asked

rm asked
touch has_jq
"$TOP/tests/deps" >out
[ ! -e asked ] && [ ! -s out ]
