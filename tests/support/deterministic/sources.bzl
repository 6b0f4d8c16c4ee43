"""sources: some of the sources of other libraries, and all headers that these keep to themselves, as files."""

_Sources = provider(fields = ["files"])

def _collect(target, ctx):
    return [_Sources(files = ctx.rule.files.srcs if hasattr(ctx.rule.files, "srcs") else [])]

# What another repository does not export is reached through the library that it belongs to, which it does.
_sources_aspect = aspect(implementation = _collect)

def _sources_impl(ctx):
    wanted = {name: None for name in ctx.attr.names}
    found = []
    for library in ctx.attr.libraries:
        for file in library[_Sources].files:
            path = file.short_path.split("/", 2)[2]  # behind ../REPOSITORY/
            if path in wanted:
                wanted[path] = file
            elif file.extension == "h":
                found.append(file)
    for name, file in wanted.items():
        if file == None:
            fail("none of the libraries has a source %s" % name)
        found.append(file)
    return [DefaultInfo(files = depset(found))]

sources = rule(
    implementation = _sources_impl,
    attrs = {
        "libraries": attr.label_list(aspects = [_sources_aspect], mandatory = True),
        "names": attr.string_list(doc = "Paths inside the libraries' repositories; may be empty: headers alone."),
    },
)
