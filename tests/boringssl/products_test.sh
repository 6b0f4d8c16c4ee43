#!/bin/bash
# What users get has the TLS library's real source of random bytes. There is a second build of it without (see
# tests/support/deterministic), for simulation, which no product may ever be linked with.
#
# Usage: products_test.sh PROBE PRODUCT...      PROBE: a program that is linked with the second build
set -euo pipefail

passed=0
failed=0

check() { # TITLE COMMAND...
    local title=$1
    shift
    if "$@"; then
        echo "[       OK ] $title"
        passed=$((passed + 1))
    else
        echo "[  FAILED  ] $title"
        failed=$((failed + 1))
    fi
}

is_random() { # the system's source is there, and the other one is not
    local names
    names=$(nm "$1" | awk '{print $NF}')
    grep -qx CRYPTO_sysrand_if_available <<< "$names" && ! grep -qx RAND_reset_for_fuzzing <<< "$names"
}

is_not_random() { ! is_random "$1"; }

check "the_second_build_is_found_out" is_not_random "$1"
shift
for product in "$@"; do
    check "$(basename "$product" | tr -c 'a-z\n' _)_draws_its_random_bytes_from_the_system" is_random "$product"
done

[ $failed = 0 ] || echo "[  FAILED  ] $failed test(s)."
echo "[  PASSED  ] $passed test(s)."
exit $((failed > 0))
