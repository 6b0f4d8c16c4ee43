#!/usr/bin/python3
"""Writes apt sources for source packages, derived from the machine's own sources for binary packages.

Usage: source_lists.py OUT_DIR

Reads both forms that apt knows: deb822 stanzas (*.sources) and one-line entries (sources.list, *.list). Kept are
enabled entries of the release's own archive (component main, a suite of this release); a third party's archive has
no BoringSSL and may be slow to say so. When nothing is left after that, every enabled entry is taken.
"""

import os
import re
import subprocess
import sys


def apt_dir(key):
    """A path out of apt's own configuration: a machine may keep its sources elsewhere."""
    out = subprocess.run(["apt-config", "shell", "X", key], stdout=subprocess.PIPE, check=True, text=True).stdout
    match = re.match(r"X='(.*)'\s*$", out)
    return match.group(1) if match else ""


def codename():
    with open("/etc/os-release", encoding="utf-8") as file:
        for line in file:
            key, _, value = line.strip().partition("=")
            if key == "VERSION_CODENAME":
                return value.strip('"')
    return ""


def release_suite(suite):
    base = suite.split("/")[0].split("-")[0]
    return base in {codename(), "oldstable", "stable", "testing", "unstable", "sid"}


def stanzas(text):
    """deb822 paragraphs as ordered lists of [field, value with its continuation lines]."""
    for block in re.split(r"\n[ \t]*\n", text):
        fields = []
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in " \t" and fields:
                fields[-1][1] += "\n" + line
            elif ":" in line:
                key, _, value = line.partition(":")
                fields.append([key.strip(), value.strip()])
        if fields:
            yield fields


def from_deb822(text, everything):
    out = []
    for fields in stanzas(text):
        low = {key.lower(): value for key, value in fields}
        if "deb" not in low.get("types", "").split() and "deb-src" not in low.get("types", "").split():
            continue
        if low.get("enabled", "yes").lower() in {"no", "false", "0", "off", "without", "disable"}:
            continue
        suites = low.get("suites", "").split()
        components = low.get("components", "").split()
        uris = [u for u in low.get("uris", "").split() if not u.startswith("cdrom:")]
        if not everything:
            suites = [s for s in suites if release_suite(s)]
            if "main" not in components:
                continue
            components = ["main"]
        if not suites or not uris:
            continue
        kept = [["Types", "deb-src"], ["URIs", " ".join(uris)], ["Suites", " ".join(suites)]]
        if components:
            kept.append(["Components", " ".join(components)])
        skip = {"types", "uris", "suites", "components", "enabled", "architectures", "targets", "languages"}
        kept += [field for field in fields if field[0].lower() not in skip]
        out.append("".join("%s: %s\n" % (key, value) for key, value in kept))
    return out


def from_one_line(text, everything):
    out = []
    for line in text.splitlines():
        match = re.match(r"\s*deb(?:-src)?\s+(?:\[([^]]*)\]\s*)?(\S+)\s+(\S+)\s*(.*)$", line.split("#")[0])
        if not match:
            continue
        options, uri, suite, rest = match.groups()
        components = rest.split()
        if uri.startswith("cdrom:"):
            continue
        if not everything:
            if "main" not in components or not release_suite(suite):
                continue
            components = ["main"]
        options = " ".join(o for o in (options or "").split() if not re.match(r"(arch|lang|target)\b", o))
        out.append("deb-src %s%s %s %s\n" % ("[%s] " % options if options else "", uri, suite, " ".join(components)))
    return list(dict.fromkeys(out))


def collect(everything):
    parts = apt_dir("Dir::Etc::sourceparts/d")
    names = [apt_dir("Dir::Etc::sourcelist/f")]
    if os.path.isdir(parts):
        names += sorted(os.path.join(parts, name) for name in os.listdir(parts))
    deb822, one_line = [], []
    for name in names:
        if not os.path.isfile(name):
            continue
        with open(name, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if name.endswith(".sources"):
            deb822 += from_deb822(text, everything)
        elif name.endswith(".list"):
            one_line += from_one_line(text, everything)
    return deb822, one_line


def main():
    out_dir = sys.argv[1]
    deb822, one_line = collect(everything=False)
    if not deb822 and not one_line:
        deb822, one_line = collect(everything=True)
    if not deb822 and not one_line:
        sys.exit("bazelw: this machine's apt has no sources to get BoringSSL from")
    with open(os.path.join(out_dir, "quoit.sources"), "w", encoding="utf-8") as file:
        file.write("\n".join(deb822))
    with open(os.path.join(out_dir, "quoit.list"), "w", encoding="utf-8") as file:
        file.write("".join(one_line))


if __name__ == "__main__":
    main()
