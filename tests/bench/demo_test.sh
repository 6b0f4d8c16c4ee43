#!/bin/bash
# The demo, shortened: each row of its table is there, nothing went wrong, and what it cannot write it tells.
set -euo pipefail
demo=$1
failed=0

check() {
    if "${@:2}"; then
        printf '[       OK ] %s\n' "$1"
    else
        printf '[  FAILED  ] %s\n' "$1"
        failed=$((failed + 1))
    fi
}

has_every_row() {
    "$demo" --seconds 0.05 > "$TEST_TMPDIR/table"
    cat "$TEST_TMPDIR/table"
    local row
    for row in 'empty body' '1 KiB' '1 KiB, one at a time' '64 KiB' '1 MiB' 'chunked, 1 KiB in 100 B' \
        'chunked, 1 MiB in 4 KiB' 'upload and echo, 16 KiB' 'delays of 0 to 20 ms' 'server closes each time' \
        'TLS, 1 KiB' 'TLS, 1 MiB' 'TLS, upload, 16 KiB' 'TLS, a handshake each' 'all'; do
        grep -q "^ *$row  " "$TEST_TMPDIR/table" || { echo "no row: $row"; return 1; }
    done
    grep -q '^Each request had exactly one terminal event' "$TEST_TMPDIR/table"
}

refuses_wrong_arguments() {
    local code=0
    "$demo" --seconds never 2> "$TEST_TMPDIR/usage" || code=$?
    [ "$code" = 2 ] && grep -q '^usage: demo' "$TEST_TMPDIR/usage"
}

tells_that_nobody_hears_it() { ! "$demo" --seconds 0.02 > /dev/full; }

check the_table_has_every_row_and_nothing_went_wrong has_every_row
check wrong_arguments_are_refused refuses_wrong_arguments
check a_table_that_cannot_be_written_is_a_failure tells_that_nobody_hears_it
printf '[  PASSED  ] %d test(s).\n' $((3 - failed))
[ "$failed" = 0 ] || { printf '[  FAILED  ] %d test(s).\n' "$failed"; exit 1; }
