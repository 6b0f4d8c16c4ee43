#!/bin/bash
# fold_archive.sh OUT EXPORTS WHOLE_ARCHIVE... -- ARCHIVE...
#
# Links the whole of the first archives, and what they need out of the others, into one relocatable object, makes
# every symbol local but those that match EXPORTS, and puts the object into the archive OUT.
set -euo pipefail

out=$1
exports=$2
shift 2
whole=()
while [ "$1" != -- ]; do
    whole+=("$1")
    shift
done
shift
object=$(mktemp -d)/$(basename "$out" .a).o
trap 'rm -rf "$(dirname "$object")"' EXIT

# bfd by name: gold and lld have no --force-group-allocation, without which C++ section groups would keep names that
# objcopy is about to make local.
ld.bfd -r --force-group-allocation -o "$object" --whole-archive "${whole[@]}" --no-whole-archive \
    --start-group "$@" --end-group
objcopy --wildcard --keep-global-symbol="$exports" "$object"
rm -f "$out"
ar crsD "$out" "$object"
