#!/bin/bash
# install.sh puts Quoit where a host's compiler finds it.
#
# Usage: bazel/bazelw run //:install -- PREFIX       (relative to where you are; DESTDIR is honoured)
#
#   PREFIX/include/quoit.h ...   PREFIX/lib/libquoit.so* libquoit.a   PREFIX/lib/pkgconfig/quoit.pc
#
# The quoit.pc finds its prefix from its own place, so the tree may be moved.
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "usage: bazel/bazelw run //:install -- PREFIX" >&2
    exit 2
fi

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
runfiles=${RUNFILES_DIR:-${BASH_SOURCE[0]}.runfiles}
[ -d "$runfiles/quoit" ] || runfiles=${here%/bazel}/..
root=$(cd "$runfiles/quoit" && pwd)
version=$(cat "$root/quoit.version")
soname=$(cat "$root/quoit.soname")
cd "${BUILD_WORKING_DIRECTORY:-$PWD}"
prefix=${DESTDIR:-}$1

install -d "$prefix/include" "$prefix/lib/pkgconfig"
while IFS= read -r header; do
    install -D -m 644 "$root/api/$header" "$prefix/include/$header"
done < <(cd "$root/api" && find . -name '*.h' -print | sed 's|^\./||' | sort)
install -m 755 "$root/libquoit.so" "$prefix/lib/libquoit.so.$version"
ln -sf "libquoit.so.$version" "$prefix/lib/$soname"
ln -sf "$soname" "$prefix/lib/libquoit.so"
install -m 644 "$root/libquoit.a" "$prefix/lib/libquoit.a"
install -m 644 "$root/quoit.pc" "$prefix/lib/pkgconfig/quoit.pc"
echo "Quoit $version is in $prefix"
