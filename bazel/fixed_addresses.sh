#!/bin/bash
# Runs a test under tsan where the kernel spreads addresses wider than GCC 12's runtime knows (more than 28 bits:
# "unexpected memory mapping"). Where it does not, or where the container forbids it, the test runs as it is.
bits=$(cat /proc/sys/vm/mmap_rnd_bits 2> /dev/null || echo 28)
if [ "$bits" -gt "${QUOIT_TSAN_BITS:-28}" ] && setarch -R true 2> /dev/null; then
    exec setarch -R "$@"
fi
exec "$@"
