#!/bin/bash
# A host with OpenSSL and Quoit in one process, built as a stranger would, in each order and form of linking, and with
# OpenSSL preloaded; and Python with its ssl module and Quoit by ctypes, in both orders.
#
# Arguments: VERSION SONAME
set -euo pipefail

version=$1
soname=$2
prefix=$TEST_TMPDIR/prefix
passed=0
failed=0

# check TITLE COMMAND...: one test case; its output is shown when it fails.
check() {
    local title=$1 code
    shift
    # Not as an `if` condition: there, bash ignores -e within.
    set +e
    (set -e; "$@") > "$TEST_TMPDIR/out" 2>&1
    code=$?
    set -e
    if [ $code = 0 ]; then
        echo "[       OK ] $title"
        passed=$((passed + 1))
    else
        echo "[  FAILED  ] $title"
        head -40 "$TEST_TMPDIR/out"
        failed=$((failed + 1))
    fi
}

make_certificates() {
    cd "$TEST_TMPDIR"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=root -keyout root.key -out root.pem \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign 2> /dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=leaf -keyout leaf.key -out leaf.csr 2> /dev/null
    echo 'subjectAltName=IP:127.0.0.1,DNS:localhost' > leaf.ext
    openssl x509 -req -in leaf.csr -CA root.pem -CAkey root.key -CAcreateserial -days 2 -extfile leaf.ext -out leaf.pem 2> /dev/null
}

compile() {
    # shellcheck disable=SC2046
    cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror $(pkg-config --cflags quoit) -c -o "$TEST_TMPDIR/host.o" \
        tests/neighbours/openssl_host.c
}

# build NAME WORDS...: the host, with these words of the linker's in this order.
build() {
    local name=$1
    shift
    cc -o "$TEST_TMPDIR/$name" "$TEST_TMPDIR/host.o" "$@" -pthread
    readelf -dW "$TEST_TMPDIR/$name" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' > "$TEST_TMPDIR/$name.needs"
}

# first NAME PATTERN: the first of the libraries that matter which NAME needs.
first() { grep -E 'quoit|ssl' "$TEST_TMPDIR/$1.needs" | head -1 | grep -qE "$2"; }

# runs NAME PLACE: the host finds all well, and Quoit in that place.
runs() {
    LD_LIBRARY_PATH=$prefix/lib "$TEST_TMPDIR/$1" "$TEST_TMPDIR/leaf.pem" "$TEST_TMPDIR/leaf.key" "$TEST_TMPDIR/root.pem" \
        > "$TEST_TMPDIR/said"
    diff - "$TEST_TMPDIR/said" << WANT
quoit in $2
done
WANT
}

# What pkg-config says for the archive, in the archive's form; libquoit.so must not be taken in its place.
archive() { echo "$prefix/lib/libquoit.a" $(pkg-config --static --libs quoit | tr ' ' '\n' | grep -vE '^-L|^-lquoit$'); }

shared_quoit_first() { build a $(pkg-config --libs quoit) -lssl -lcrypto; first a quoit; runs a libquoit.so; }
shared_openssl_first() { build b -lssl -lcrypto $(pkg-config --libs quoit); first b ssl; runs b libquoit.so; }
static_quoit_first() { build c $(archive) -lssl -lcrypto; first c ssl; runs c "the program"; }
static_openssl_first() { build d -lssl -lcrypto $(archive); first d ssl; runs d "the program"; }

# With every name of the program's shown to all libraries, and libraries that look for names at their first use.
static_with_all_names_shown() { build e -rdynamic -Wl,-z,lazy $(archive) -lssl -lcrypto; runs e "the program"; }
shared_with_lazy_binding() { build f -Wl,-z,lazy $(pkg-config --libs quoit) -lssl -lcrypto; runs f libquoit.so; }

preloaded() {
    LD_PRELOAD="libssl.so libcrypto.so" runs a libquoit.so
    LD_PRELOAD="libssl.so libcrypto.so" runs c "the program"
    LD_PRELOAD="$prefix/lib/libquoit.so" runs b libquoit.so
}

python_with() {
    python3 tests/neighbours/python_host.py "$1" "$prefix/lib/libquoit.so" "$TEST_TMPDIR/leaf.pem" "$TEST_TMPDIR/leaf.key" \
        "$TEST_TMPDIR/root.pem"
}

./install "$version" "$soname" "$prefix" > /dev/null
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
(make_certificates)
compile

check shared_with_quoit_first shared_quoit_first
check shared_with_openssl_first shared_openssl_first
check static_with_quoit_first static_quoit_first
check static_with_openssl_first static_openssl_first
check static_with_all_names_shown static_with_all_names_shown
check shared_with_lazy_binding shared_with_lazy_binding
check openssl_preloaded_or_quoit_preloaded preloaded
check python_with_ssl_first python_with ssl_first
check python_with_quoit_first python_with quoit_first

[ $failed = 0 ] || echo "[  FAILED  ] $failed test(s)."
echo "[  PASSED  ] $passed test(s)."
exit $((failed > 0))
