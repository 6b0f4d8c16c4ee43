#!/bin/bash
# BoringSSL folded into our two kinds of library: neither shows a name of its own, needs a C++ runtime, or runs code
# when it is loaded.
set -euo pipefail

shared=tests/boringssl/libprobe.so
archive=tests/boringssl/libprobe.a
passed=0
failed=0

# expect_empty TITLE LINES: LINES are the offenders.
expect_empty() {
    if [ -z "$2" ]; then
        echo "[       OK ] $1"
        passed=$((passed + 1))
    else
        echo "[  FAILED  ] $1"
        head -20 <<< "$2"
        failed=$((failed + 1))
    fi
}

cxx='(^| )(_Z|__cxa_[^f]|__gxx_|_Unwind_)'

# Read first, so that a tool that fails fails the test; then look for offenders (grep's 1 means none).
shared_exports=$(nm -D --defined-only "$shared" | awk '{print $3}')
shared_open=$(nm -D -u "$shared")
shared_needs=$(readelf -dW "$shared" | grep NEEDED)
archive_globals=$(nm -g --defined-only "$archive" | awk 'NF == 3 {print $3}')
archive_open=$(nm -u "$archive")
archive_sections=$(readelf -SW "$archive")
grep -q '^quoit_probe_sha256' <<< "$shared_exports"
grep -q '^quoit_probe_sha256$' <<< "$archive_globals"

expect_empty the_shared_library_exports_only_our_names \
    "$(grep -v -e '^quoit_' -e '^QUOIT_1.0$' <<< "$shared_exports" || true)"
expect_empty the_archive_has_only_our_names "$(grep -v '^quoit_' <<< "$archive_globals" || true)"
expect_empty the_shared_library_needs_no_cxx_runtime \
    "$(grep -E 'stdc\+\+|libgcc_s|c\+\+' <<< "$shared_needs" || true)"
expect_empty the_shared_library_leaves_no_cxx_symbol_open "$(grep -E "$cxx" <<< "$shared_open" || true)"
expect_empty the_archive_leaves_no_cxx_symbol_open "$(grep -E "$cxx" <<< "$archive_open" || true)"
expect_empty the_archive_has_no_static_initialiser \
    "$(grep -E '\.(init_array|ctors|preinit_array)' <<< "$archive_sections" || true)"

[ $failed = 0 ] || echo "[  FAILED  ] $failed test(s)."
echo "[  PASSED  ] $passed test(s)."
exit $((failed > 0))
