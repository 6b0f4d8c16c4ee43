"""How Quoit's own code is built: q_library (engine), q_binary, q_test_library, q_test.

Every engine library comes twice. `base` is what users get. `base_hooked` has the rendezvous hooks and the debug
checks compiled in (Q_HOOKS=1, Q_CHECKS=1); tests link that one, so that a schedule can be forced and a broken
invariant stops the test where it breaks.
"""

load("//bazel:layers.bzl", "floors_above", "floors_below")

COPTS = [
    "-std=gnu11",
    # Empty, so that a file that says `#define _GNU_SOURCE` for itself repeats it instead of redefining it.
    "-D_GNU_SOURCE=",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
    "-Wpointer-arith",
    "-Wvla",
    "-Werror",
]

_HOOKED = ["Q_HOOKS=1", "Q_CHECKS=1"]

# Before every file of the hooked engine libraries: counts their atomic operations and their copies.
_COUNTED = ["-include", "engine/base/hook_counts.h"]

def _floor_of(label):
    """The floor that a dependency `label` is on, or None when it is not engine code."""
    if not label.startswith("//engine/"):
        return None
    return label[len("//engine/"):].split(":")[0].split("/")[0]

def _hooked(label):
    """The hooked variant of an engine library's label; any other label as it is."""
    if not label.startswith("//engine/"):
        return label
    if ":" in label:
        return label if label.endswith("_hooked") else label + "_hooked"
    return label + ":" + label.split("/")[-1] + "_hooked"

def q_library(name, floor, srcs = [], hdrs = [], deps = [], alwayslink = False, **kwargs):
    """An engine library on `floor`, in package //engine/<floor>: `name`, and `name`_hooked for tests."""
    package = native.package_name()
    if package != "engine/" + floor:
        fail("A library of floor '%s' lives in //engine/%s, not in //%s" % (floor, floor, package))
    for dep in deps:
        dep_floor = _floor_of(dep)
        if dep_floor and dep_floor != floor and dep_floor not in floors_below(floor):
            fail("//%s: floor '%s' may not use '%s'. Calls go down, events go up; see bazel/layers.bzl" %
                 (package, floor, dep))
    above = ["//engine/%s:__pkg__" % f for f in floors_above(floor)]

    # Clients see the face alone. Tests see everything; so may the benchmarks, of which none needs it yet.
    users = above + ["//tests:__subpackages__"]
    if floor == "face":
        users = ["//visibility:public"]
    for suffix, defines in [("", []), ("_hooked", _HOOKED)]:
        native.cc_library(
            name = name + suffix,
            srcs = srcs,
            hdrs = hdrs,
            deps = [_hooked(d) if not d.startswith(":") else d + suffix for d in deps] if suffix else deps,
            copts = COPTS + (_COUNTED if suffix else []),
            local_defines = defines,
            linkstatic = True,
            alwayslink = alwayslink,
            visibility = users,
            **kwargs
        )

def q_binary(name, srcs, deps = [], copts = [], **kwargs):
    """A program of ours, with the engine's warnings, linked as what users get."""
    native.cc_binary(
        name = name,
        srcs = srcs,
        deps = deps,
        copts = COPTS + copts,
        linkstatic = True,
        **kwargs
    )

def q_test_library(name, srcs = [], hdrs = [], deps = [], **kwargs):
    """A library for tests alone; its engine dependencies are the hooked ones."""
    kwargs.setdefault("visibility", ["//tests:__subpackages__", "//bench:__subpackages__"])
    native.cc_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        deps = [_hooked(d) for d in deps],
        copts = COPTS,
        local_defines = _HOOKED,
        linkstatic = True,
        testonly = True,
        **kwargs
    )

def q_test(name, srcs, deps = [], san_fast = False, copts = [], tags = [], size = "small", **kwargs):
    """A cmocka test on the hooked engine libraries.

    san_fast = True puts it into the subset that the gate runs again under asan and tsan: everything that takes
    less than a second or two there. The tag no_san keeps a test out of the long sanitizer runs too.
    """
    native.cc_test(
        name = name,
        srcs = srcs,
        deps = [_hooked(d) for d in deps] + ["@cmocka"],
        copts = COPTS + copts,
        local_defines = _HOOKED,
        linkstatic = True,
        size = size,
        tags = tags + (["san_fast"] if san_fast else []),
        **kwargs
    )
