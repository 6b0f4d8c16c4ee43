#!/bin/bash
# fresh_machine.sh: both commands of the README in a new Debian that has none of the packages.
#
# Usage: fresh_machine.sh FOLDER [RELEASE]        as root; exit code 77 when it cannot run here
#
# FOLDER must not exist; it is removed again. The new system's apt has this machine's sources. In it: a clean clone of
# what is committed here, `bazel/bazelw run //bench:demo` and `.ci/run` as root (the first installs everything), then
# `bazel/bazelw test //...` as an ordinary user, and the wrapper's second run, which must not install anything.
set -euo pipefail

folder=$1
release=${2:-$(. /etc/os-release && echo "${VERSION_CODENAME:-}")}
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
[ "$(id -u)" = 0 ] && command -v debootstrap > /dev/null && [ -n "$release" ] || exit 77

# The archive that this machine uses for the release, out of its own sources.
archive=$(apt-get indextargets --format '$(SITE) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
    awk -v release="$release" '$2 == release {print $3; exit}')
[ -n "$archive" ] || exit 77

cleanup() {
    local mounted
    for mounted in dev proc sys; do
        ! mountpoint -q "$folder/$mounted" || umount -R -l "$folder/$mounted"
    done
    chmod -R u+w "$folder" 2> /dev/null || true
    rm -rf --one-file-system "$folder"
}
trap cleanup EXIT

say() { printf '== fresh machine: %s\n' "$*"; }
inside() { chroot "$folder" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@"; }

say "debootstrap $release"
debootstrap --variant=minbase "$release" "$folder" "$archive" > /dev/null
rm -f "$folder"/etc/apt/sources.list "$folder"/etc/apt/sources.list.d/*
for source in /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list; do
    [ -e "$source" ] && grep -qi "$release" "$source" && cp "$source" "$folder$source"
done
cp /etc/resolv.conf /etc/hosts "$folder/etc/"
cp -r /usr/share/keyrings/. "$folder/usr/share/keyrings/"
[ ! -d /etc/apt/apt.conf.d ] || cp -n /etc/apt/apt.conf.d/* "$folder/etc/apt/apt.conf.d/" || true
mount -t proc proc "$folder/proc"
mount -t sysfs sysfs "$folder/sys"
mount --rbind /dev "$folder/dev"
mount --make-rslave "$folder/dev"

# Clean clones, made outside: git is none of the packages that Quoit needs. One for each user, since Bazel's links in a
# tree lead into the home of the one who built there.
inside useradd -m tester
git clone -q --no-hardlinks "$root" "$folder/srv/quoit"
git clone -q --no-hardlinks "$root" "$folder/home/tester/quoit"
inside chown -R tester /home/tester/quoit
start=$SECONDS
say "bazel/bazelw run //bench:demo as root, nothing installed"
inside HOME=/root /srv/quoit/bazel/bazelw run //bench:demo
say "took $((SECONDS - start)) s"
start=$SECONDS
say ".ci/run as root, with the packages"
inside HOME=/root /srv/quoit/.ci/run
took=$((SECONDS - start))
say "took $took s"
[ "$took" -le 720 ] # with the packages there: under 12 minutes
start=$SECONDS
inside HOME=/root /srv/quoit/bazel/bazelw --prepare
say "the wrapper's second run took $((SECONDS - start)) s"
start=$SECONDS
say "bazel/bazelw test //... as an ordinary user"
inside su tester -c 'cd && quoit/bazel/bazelw test //...'
say "took $((SECONDS - start)) s"
