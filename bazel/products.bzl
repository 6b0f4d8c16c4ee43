"""What hosts get: libquoit.so, libquoit.a, headers and quoit.pc, and the program that installs them.

Both libraries export quoit_* alone. Whatever is folded in (BoringSSL, llhttp, liburing) is invisible in both, so a
host may have its own.
"""

def _static_archive_impl(ctx):
    whole = []
    archives = []
    for linker_input in ctx.attr.dep[CcInfo].linking_context.linker_inputs.to_list():
        for library in linker_input.libraries:
            file = library.pic_static_library or library.static_library
            if not file:
                continue
            if library.alwayslink:
                whole.append(file)
            else:
                archives.append(file)
    if not whole:
        fail("%s: nothing under %s is alwayslink, so the archive would be empty" % (ctx.label, ctx.attr.dep.label))
    out = ctx.outputs.archive
    args = ctx.actions.args()
    args.add(out)
    args.add(ctx.attr.exports)
    args.add_all(whole)
    args.add("--")
    args.add_all(archives)
    ctx.actions.run(
        outputs = [out],
        inputs = whole + archives,
        executable = ctx.file._fold,
        arguments = [args],
        mnemonic = "FoldArchive",
        progress_message = "Folding %s" % out.short_path,
    )
    return [DefaultInfo(files = depset([out]), runfiles = ctx.runfiles(files = [out]))]

static_archive = rule(
    implementation = _static_archive_impl,
    attrs = {
        "archive": attr.output(mandatory = True),
        "dep": attr.label(mandatory = True, providers = [CcInfo], doc = "The library whose entry points are exported."),
        "exports": attr.string(mandatory = True, doc = "Wildcard for the symbols that stay global."),
        "_fold": attr.label(default = "//bazel:fold_archive.sh", allow_single_file = True),
    },
    doc = """One object in one archive: the entry points and all that they reach, everything else made local.

The library's alwayslink parts are taken whole, other archives as far as something needs them.""",
)

def shared_library(name, deps, soname, symbols, linkopts = [], **kwargs):
    """A shared object with its symbol map. `symbols` is a version script; it ends in .lds, as Bazel wants.

    nodelete: loop threads outlive a dlclose. Symbolic: our own calls cannot be interposed.
    """
    native.cc_binary(
        name = name,
        linkshared = True,
        linkstatic = True,
        deps = deps + [symbols],
        linkopts = [
            "-Wl,-soname," + soname,
            "-Wl,--version-script,$(location %s)" % symbols,
            "-Wl,--exclude-libs,ALL",
            "-Wl,-Bsymbolic",
            "-Wl,-z,nodelete",
            "-Wl,-z,relro,-z,now",
            "-Wl,-z,defs",
            "-Wl,--gc-sections",
            "-Wl,--as-needed",
            "-pthread",
        ] + linkopts,
        **kwargs
    )

_PKG_CONFIG = """\
prefix=${{pcfiledir}}/../..
libdir=${{prefix}}/lib
includedir=${{prefix}}/include

Name: {library}
Description: {description}
Version: {version}
Cflags: -I${{includedir}}
Libs: -L${{libdir}} -l{library}
Libs.private: {libs_private}
"""

def _pkg_config_impl(ctx):
    ctx.actions.write(ctx.outputs.out, _PKG_CONFIG.format(
        description = ctx.attr.description,
        library = ctx.attr.library,
        libs_private = " ".join(ctx.attr.libs_private + ["-pthread"]),
        version = ctx.attr.version,
    ))
    return [DefaultInfo(files = depset([ctx.outputs.out]), runfiles = ctx.runfiles(files = [ctx.outputs.out]))]

pkg_config = rule(
    implementation = _pkg_config_impl,
    attrs = {
        "description": attr.string(mandatory = True),
        "library": attr.string(mandatory = True),
        "libs_private": attr.string_list(doc = "What a host that links the archive must link too."),
        "out": attr.output(mandatory = True),
        "version": attr.string(mandatory = True),
    },
    doc = "A .pc file that finds its prefix from its own place, so that an installed tree may be moved.",
)

def _own_archives_impl(ctx):
    files = []
    for linker_input in ctx.attr.dep[CcInfo].linking_context.linker_inputs.to_list():
        if linker_input.owner.workspace_name in ctx.attr.repositories:
            for library in linker_input.libraries:
                file = library.pic_static_library or library.static_library
                if file:
                    files.append(file)
    return [DefaultInfo(files = depset(files), runfiles = ctx.runfiles(files = files))]

own_archives = rule(
    implementation = _own_archives_impl,
    attrs = {
        "dep": attr.label(mandatory = True, providers = [CcInfo]),
        "repositories": attr.string_list(mandatory = True, doc = "Workspaces whose archives are wanted; '' is this one."),
    },
    doc = "The static archives under a library, before they are folded: what the link audit looks at.",
)
