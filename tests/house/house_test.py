#!/usr/bin/python3
"""The house test: this tree against tests/house/rules.py.

It reads the sources where they are, not copies of them, so that a new file cannot be forgotten: in the runfiles this
script is a link into the source tree, and that tells where the root is.

Usage: house_test.py [ROOT]
"""

import ast
import os
import re
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)

import rules  # noqa: E402  (after the path above)

TOP = ("engine", "api", "tests", "bench", "bazel", ".ci")
TEXT = (".c", ".h", ".py", ".sh", ".bzl", ".md", ".pml", ".lds", ".patch", ".json", ".txt", ".html", ".yml", ".toml")


def read_tree(root):
    files = {}

    def add(path):
        try:
            with open(os.path.join(root, path), encoding="utf-8") as file:
                files[path] = file.read()
        except (UnicodeDecodeError, IsADirectoryError):
            return  # a binary corpus is nobody's source

    for name in sorted(os.listdir(root)):
        if os.path.isfile(os.path.join(root, name)) and name not in ("LICENSE", ".git"):
            add(name)
    for top in TOP:
        for folder, folders, names in os.walk(os.path.join(root, top)):
            folders[:] = sorted(f for f in folders if f not in ("__pycache__", "corpus", ".git"))
            for name in sorted(names):
                if name.endswith(TEXT) or "." not in name:
                    add(os.path.relpath(os.path.join(folder, name), root))
    return files


def read_floors(text):
    """FLOORS of bazel/layers.bzl; the list is a literal in Python too."""
    return ast.literal_eval(re.search(r"^FLOORS = (\[.*?^\])", text, re.S | re.M).group(1))


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.dirname(HERE))
    files = read_tree(root)
    for needed in ("WORKSPACE", "bazel/layers.bzl", "tests/house/allow"):
        if needed not in files:
            sys.exit("house_test: %s is not in %s; is this the source tree?" % (needed, root))
    tree = rules.Tree(files, read_floors(files["bazel/layers.bzl"]))
    passed = failed = 0
    for name, findings in rules.inspect(tree, rules.Allowances(files["tests/house/allow"])).items():
        print("[%s] %s" % ("       OK " if not findings else "  FAILED  ", name))
        for finding in findings:
            print("    %s:%d: %s   [%s %s:%s]" % (finding.path, finding.line, finding.message, finding.rule,
                                                  finding.path, finding.name))
        passed += not findings
        failed += bool(findings)
    if failed:
        print("[  FAILED  ] %d test(s)." % failed)
    print("[  PASSED  ] %d test(s)." % passed)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
