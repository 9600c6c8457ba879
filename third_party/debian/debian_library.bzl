"""System libraries as external repositories, under the names the world uses.

A target holds only linker options and defines: the headers are the compiler's own
/usr/include. After an upgrade of such headers run `bazel clean`.
"""

def _run(ctx, args):
    result = ctx.execute(args)
    if result.return_code:
        fail("{}: {}: {}".format(ctx.name, " ".join(args), result.stderr))
    return [word for word in result.stdout.replace("\n", " ").split(" ") if word]

def _options(ctx, libraries):
    """The linkopts and defines of pkg-config modules and of literal `-l` options."""
    modules = [word for word in libraries if not word.startswith("-")]
    linkopts = [word for word in libraries if word.startswith("-")]
    defines = []
    if modules:
        pkg_config = ctx.which("pkg-config")
        if not pkg_config:
            fail("{}: no pkg-config. run: apt-get install pkg-config".format(ctx.name))
        linkopts += _run(ctx, [pkg_config, "--libs"] + modules)
        flags = _run(ctx, [pkg_config, "--cflags-only-other"] + modules)
        defines = [flag[2:] for flag in flags if flag.startswith("-D")]
    if linkopts:
        linkopts = ["-Wl,--as-needed"] + linkopts
    return linkopts, defines

_TARGET = """
cc_library(
    name = {name},
    defines = {defines},
    linkopts = {linkopts},
)
"""

def _debian_library_impl(ctx):
    for header in ctx.attr.headers:
        if not ctx.path(header).exists:
            fail("{} needs {}. run: apt-get install {} (or tools/setup)".format(
                ctx.name,
                header,
                ctx.attr.package,
            ))
    for link, target in ctx.attr.symlinks.items():
        ctx.symlink(target, link)

    builds = {"": [ctx.attr.extra_build]}
    for label, libraries in ctx.attr.targets.items():
        folder, name = label.split(":")
        linkopts, defines = _options(ctx, libraries)
        builds.setdefault(folder, []).append(_TARGET.format(
            name = repr(name),
            defines = repr(defines),
            linkopts = repr(linkopts),
        ))
    for folder, parts in builds.items():
        ctx.file(
            folder + "/BUILD.bazel" if folder else "BUILD.bazel",
            "package(default_visibility = [\"//visibility:public\"])\n" + "".join(parts),
        )

debian_library = repository_rule(
    implementation = _debian_library_impl,
    local = True,
    attrs = {
        "extra_build": attr.string(doc = "Appended to the top BUILD file."),
        "headers": attr.string_list(
            mandatory = True,
            doc = "Files that tell whether `package` is installed.",
        ),
        "package": attr.string(mandatory = True, doc = "The Debian packages to install."),
        "symlinks": attr.string_dict(doc = "Path in the repository to file of the system."),
        "targets": attr.string_list_dict(
            doc = "\"folder:name\" to pkg-config modules and `-l` options.",
        ),
    },
)
