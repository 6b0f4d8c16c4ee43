#!/bin/bash
# install.sh puts Quoit where a host's compiler finds it.
#
# Usage: bazel/bazelw run //:install -- PREFIX       (relative to where you are; DESTDIR is honoured)
#
#   PREFIX/include/quoit.h, quoit/*.h    PREFIX/lib/libquoit.so* libquoit.a    PREFIX/lib/pkgconfig/quoit.pc
#
# The target gives VERSION and SONAME in front; it is run in its runfiles, where the products are.
set -euo pipefail

if [ $# -ne 3 ] || [ "${3#-}" != "$3" ]; then
    echo "usage: bazel/bazelw run //:install -- PREFIX" >&2
    exit 2
fi
version=$1
soname=$2
prefix=$3
case $prefix in /*) ;; *) prefix=${BUILD_WORKING_DIRECTORY:-$PWD}/$prefix ;; esac
prefix=${DESTDIR:-}$prefix

# By its path: Bazel puts the runfiles, where this very program is called `install`, in front of the tests' PATH.
put=/usr/bin/install
$put -d "$prefix/include" "$prefix/lib/pkgconfig"
(cd api && find . -name '*.h' -print) | while IFS= read -r header; do
    $put -D -m 644 "api/$header" "$prefix/include/$header"
done
$put -m 755 libquoit.so "$prefix/lib/libquoit.so.$version"
ln -sf "libquoit.so.$version" "$prefix/lib/$soname"
ln -sf "$soname" "$prefix/lib/libquoit.so"
$put -m 644 libquoit.a "$prefix/lib/libquoit.a"
$put -m 644 quoit.pc "$prefix/lib/pkgconfig/quoit.pc"
echo "Quoit $version is in $prefix"
