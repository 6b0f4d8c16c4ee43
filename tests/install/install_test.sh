#!/bin/bash
# Installs Quoit into a folder, builds a host against it as a stranger would, and looks at what the libraries show.
#
# Arguments: VERSION SONAME
set -euo pipefail

version=$1
soname=$2
prefix=$TEST_TMPDIR/prefix
root=$PWD
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

# none PATTERN FILE...: succeeds when no line matches, and shows those that do.
none() {
    local pattern=$1
    shift
    if grep -nE -e "$pattern" "$@"; then return 1; fi
}

use() { export PKG_CONFIG_PATH=$1/lib/pkgconfig; }

installs() {
    cd "$TEST_TMPDIR"
    (cd "$root" && ./install "$version" "$soname" "$prefix")
    [ "$(readlink "$prefix/lib/libquoit.so")" = "$soname" ]
    [ -x "$prefix/lib/libquoit.so.$version" ]
}

refuses_to_guess_a_prefix() {
    if ./install "$version" "$soname" 2> "$TEST_TMPDIR/usage"; then return 1; fi
    grep -q usage "$TEST_TMPDIR/usage"
}

# compiles_alone LANGUAGE...: the header by itself, with every warning.
compiles_alone() {
    echo '#include <quoit.h>' > "$TEST_TMPDIR/alone.c"
    use "$prefix"
    # shellcheck disable=SC2046
    "$@" -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags quoit) -fsyntax-only "$TEST_TMPDIR/alone.c"
}

# fetches HOST: the host's whole output is known.
fetches() {
    "$@" > "$TEST_TMPDIR/got"
    diff - "$TEST_TMPDIR/got" << WANT
quoit $version
status 200
body hello
done
WANT
}

shared_host() {
    use "$prefix"
    # shellcheck disable=SC2046
    cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -o "$TEST_TMPDIR/shared" tests/install/host.c \
        $(pkg-config --cflags --libs quoit) -pthread
    readelf -dW "$TEST_TMPDIR/shared" > "$TEST_TMPDIR/needs"
    grep -q "\[$soname\]" "$TEST_TMPDIR/needs"
    LD_LIBRARY_PATH=$prefix/lib fetches "$TEST_TMPDIR/shared"
}

static_host() {
    use "$prefix"
    # shellcheck disable=SC2046
    # --as-needed: with the archive in front, the shared library that --libs names again is not needed.
    cc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -o "$TEST_TMPDIR/static" tests/install/host.c \
        $(pkg-config --cflags quoit) -Wl,-Bstatic $(pkg-config --libs quoit) -Wl,-Bdynamic \
        -Wl,--as-needed $(pkg-config --static --libs quoit)
    readelf -dW "$TEST_TMPDIR/static" > "$TEST_TMPDIR/needs"
    none 'NEEDED.*quoit|stdc\+\+|libgcc_s' "$TEST_TMPDIR/needs"
    fetches "$TEST_TMPDIR/static"
}

moved_tree() {
    cp -a "$prefix" "$TEST_TMPDIR/elsewhere"
    use "$TEST_TMPDIR/elsewhere"
    # shellcheck disable=SC2046
    cc -D_GNU_SOURCE -o "$TEST_TMPDIR/moved" tests/install/host.c $(pkg-config --cflags --libs quoit) -pthread
    LD_LIBRARY_PATH=$TEST_TMPDIR/elsewhere/lib fetches "$TEST_TMPDIR/moved"
    [ "$(pkg-config --modversion quoit)" = "$version" ]
}

check installs_into_an_empty_prefix installs
check refuses_to_guess_a_prefix refuses_to_guess_a_prefix
check header_compiles_alone_as_c11 compiles_alone cc -std=c11 -x c
check header_compiles_alone_as_cxx compiles_alone c++ -std=c++11 -x c++
check shared_host_builds_and_fetches shared_host
check static_host_builds_and_fetches static_host
check a_moved_tree_still_works moved_tree

# What the products show. The tools' output first, so that a tool that fails fails the test.
shared=$prefix/lib/libquoit.so
archive=$prefix/lib/libquoit.a
cd "$TEST_TMPDIR"
nm -D --defined-only "$shared" | awk '{print $3}' | sed 's/@.*//' | sort -u > shared.exports
nm -g --defined-only "$archive" | awk 'NF == 3 {print $3}' | sort -u > archive.exports
readelf -dW "$shared" > shared.dynamic
readelf -lW "$shared" > shared.segments
readelf -SW "$archive" > archive.sections
nm -u "$archive" > archive.open
cat "$prefix/include/quoit.h" "$prefix"/include/quoit/*.h | tr '\n' ' ' | grep -oE 'QUOIT_API [^;{]*\(' | grep -oE 'quoit_[a-z0-9_]+\($|quoit_[a-z0-9_]+\(' |
    tr -d '(' | sort -u > header.names

exports_are_the_header() {
    [ -s header.names ]
    diff header.names <(grep -v '^QUOIT_' "$1")
}

check the_shared_library_exports_the_header_and_nothing_else exports_are_the_header shared.exports
check the_archive_exports_the_header_and_nothing_else exports_are_the_header archive.exports
grep NEEDED shared.dynamic | grep -vE '\[lib(idn2|cares|brotlidec|z)\.so' > shared.needed
check the_shared_library_needs_libc_and_what_it_says none 'NEEDED.*\[(lib[^c]|libc[^.])' shared.needed
check the_shared_library_stays_loaded grep -q NODELETE shared.dynamic
check the_shared_library_binds_at_load grep -qE 'BIND_NOW|\bNOW\b' shared.dynamic
check the_shared_library_has_no_text_relocation none TEXTREL shared.dynamic
check the_stack_is_not_executable none 'GNU_STACK.* RWE ' shared.segments
check relocations_are_read_only grep -q GNU_RELRO shared.segments
check the_archive_runs_nothing_at_load none '\.(init_array|ctors|preinit_array|fini_array)' archive.sections
check the_archive_needs_no_cxx_runtime none '(^| )(_Z|__cxa_[^f]|__gxx_|_Unwind_)' archive.open

[ $failed = 0 ] || echo "[  FAILED  ] $failed test(s)."
echo "[  PASSED  ] $passed test(s)."
exit $((failed > 0))
