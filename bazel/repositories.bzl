"""Third-party code as local repositories on what Debian's packages have installed.

Each rule looks for the files itself, so that Bazel runs offline, and names the package to install when they are
missing. `local = True`: looked up again when the Bazel server starts, since a package may have been upgraded.
"""

_INCLUDE_DIRS = ["/usr/include", "/usr/share/include"]

_HINT = "bazel/bazelw installs it; without the wrapper: apt-get install {}"

def _first_existing(ctx, candidates):
    for candidate in candidates:
        path = ctx.path(candidate)
        if path.exists:
            return path
    return None

def _multiarch_include_dirs(ctx):
    """Where packages put headers that differ by architecture, as the compiler names it."""
    result = ctx.execute(["gcc", "-print-multiarch"])
    name = result.stdout.strip()
    return ["/usr/include/" + name] if result.return_code == 0 and name else []

def _lib_file(ctx, name):
    """Asks the compiler where `name` is: the library folder differs by architecture. None when it is not there."""
    result = ctx.execute(["gcc", "-print-file-name=" + name])
    path = result.stdout.strip()
    if result.return_code != 0 or not path.startswith("/"):
        return None
    return ctx.path(path)

def _debian_library_impl(ctx):
    hdrs = []
    folders = _INCLUDE_DIRS + _multiarch_include_dirs(ctx)
    for hdr in ctx.attr.hdrs:
        found = _first_existing(ctx, [d + "/" + hdr for d in folders])
        if found:
            # The first header is what users include; the others differ from release to release.
            ctx.symlink(found, "include/" + hdr)
            hdrs.append("include/" + hdr)
        elif hdr == ctx.attr.hdrs[0]:
            fail(("%s is missing. " % hdr) + _HINT.format(ctx.attr.package))
    srcs = []
    if ctx.attr.archive:
        archive = _lib_file(ctx, ctx.attr.archive)
        if not archive:
            fail(("%s is missing. " % ctx.attr.archive) + _HINT.format(ctx.attr.package))
        ctx.symlink(archive, ctx.attr.archive)
        srcs.append(ctx.attr.archive)
    ctx.file("BUILD", """
cc_library(
    name = "{name}",
    srcs = {srcs},
    hdrs = {hdrs},
    includes = ["include"],
    linkopts = {linkopts},
    linkstatic = True,
    visibility = ["//visibility:public"],
)
""".format(name = ctx.name, srcs = srcs, hdrs = hdrs, linkopts = ctx.attr.linkopts))

debian_library = repository_rule(
    implementation = _debian_library_impl,
    attrs = {
        "archive": attr.string(doc = "Static archive, when the library is linked statically."),
        "hdrs": attr.string_list(mandatory = True, doc = "Headers below /usr/include; the first must exist."),
        "linkopts": attr.string_list(),
        "package": attr.string(mandatory = True, doc = "Debian package, for the message."),
    },
    local = True,
    doc = "A C library as Debian installed it.",
)

# Where Debian's releases keep llhttp's C sources. bookworm: node-llhttp 8.1. Later: libllhttp-source 9.x, or only
# the built library of libllhttp-dev.
_LLHTTP_SOURCES = [
    "/usr/share/llhttp",
    "/usr/share/llhttp/src",
    "/usr/share/llhttp-source",
    "/usr/share/nodejs/llhttp/src",
    "/usr/src/llhttp",
    "/usr/src/llhttp/src",
]

def _debian_llhttp_impl(ctx):
    header = _first_existing(ctx, [d + s for d in _INCLUDE_DIRS for s in ["/llhttp/llhttp.h", "/llhttp.h"]] +
                                  [d + s for d in _LLHTTP_SOURCES for s in ["/llhttp.h", "/include/llhttp.h"]])
    if not header:
        fail("llhttp.h is missing. " + _HINT.format("node-llhttp (or libllhttp-source, or libllhttp-dev)"))
    ctx.symlink(header, "include/llhttp.h")
    srcs = []
    for folder in _LLHTTP_SOURCES:
        if ctx.path(folder + "/llhttp.c").exists:
            for src in ["api.c", "http.c", "llhttp.c"]:
                ctx.symlink(folder + "/" + src, "src/" + src)
                srcs.append("src/" + src)
            break
    if not srcs:
        archive = _lib_file(ctx, "libllhttp.a")
        if archive:
            ctx.symlink(archive, "libllhttp.a")
            srcs.append("libllhttp.a")
    if not srcs:
        fail("llhttp's sources are missing. " + _HINT.format("node-llhttp (or libllhttp-source)"))

    # Strict mode is a compile-time choice in 8.x and the only one in 9.x. Hidden: no name of llhttp's is ever
    # visible to a host, which may have its own (node has).
    ctx.file("BUILD", """
cc_library(
    name = "llhttp",
    srcs = {srcs},
    hdrs = ["include/llhttp.h"],
    copts = ["-std=gnu11", "-fvisibility=hidden", "-w"],
    defines = ["LLHTTP_STRICT_MODE=1"],
    includes = ["include"],
    linkstatic = True,
    visibility = ["//visibility:public"],
)
""".format(srcs = srcs))

debian_llhttp = repository_rule(
    implementation = _debian_llhttp_impl,
    local = True,
    doc = "llhttp, from whichever package of Debian's has it on this release.",
)

def _debian_boringssl_impl(ctx):
    folder = ctx.os.environ.get("QUOIT_BORINGSSL", "")
    if not folder or not ctx.path(folder + "/BUILD").exists:
        fail("BoringSSL's sources are not prepared. Run Bazel through bazel/bazelw, which gets them from Debian's " +
             "source package, or pass --override_repository=boringssl=DIR.")
    for entry in ctx.path(folder).readdir():
        if entry.basename != "WORKSPACE":
            ctx.symlink(entry, entry.basename)

debian_boringssl = repository_rule(
    implementation = _debian_boringssl_impl,
    environ = ["QUOIT_BORINGSSL"],
    local = True,
    doc = "BoringSSL, as bazel/bazelw prepared it in the folder that QUOIT_BORINGSSL names.",
)
