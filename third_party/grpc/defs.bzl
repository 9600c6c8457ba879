"""weft_cc_grpc_library: the C++ stubs and service classes of a proto_library."""

def _generate_impl(ctx):
    info = ctx.attr.proto[ProtoInfo]
    outputs = []
    for source in info.direct_sources:
        stem = source.basename[:-len(".proto")]
        names = [stem + ".grpc.pb.h", stem + ".grpc.pb.cc"]
        if ctx.attr.generate_mocks:
            names.append(stem + "_mock.grpc.pb.h")
        outputs += [ctx.actions.declare_file(name) for name in names]

    args = ctx.actions.args()
    args.add("--plugin=protoc-gen-grpc=" + ctx.executable._plugin.path)
    args.add("--grpc_out=" + ("generate_mock_code=true:" if ctx.attr.generate_mocks else "") +
             ctx.bin_dir.path)
    args.add_joined(
        info.transitive_descriptor_sets,
        join_with = ":",
        format_joined = "--descriptor_set_in=%s",
    )
    args.add_all([source.short_path for source in info.direct_sources])
    ctx.actions.run(
        arguments = [args],
        executable = ctx.executable._protoc,
        inputs = info.transitive_descriptor_sets,
        mnemonic = "GrpcCpp",
        outputs = outputs,
        progress_message = "Generating C++ gRPC code for %s" % ctx.label,
        tools = [ctx.executable._plugin],
    )
    headers = [file for file in outputs if file.extension == "h"]
    sources = [file for file in outputs if file.extension == "cc"]
    return [
        DefaultInfo(files = depset(outputs)),
        OutputGroupInfo(hdrs = depset(headers), srcs = depset(sources)),
    ]

_generate = rule(
    implementation = _generate_impl,
    attrs = {
        "generate_mocks": attr.bool(),
        "proto": attr.label(mandatory = True, providers = [ProtoInfo]),
        "_plugin": attr.label(
            cfg = "exec",
            default = "@com_github_grpc_grpc//:grpc_cpp_plugin",
            executable = True,
        ),
        "_protoc": attr.label(
            cfg = "exec",
            default = "@com_google_protobuf//:protoc",
            executable = True,
        ),
    },
)

def weft_cc_grpc_library(name, proto, cc_proto, generate_mocks = False, **kwargs):
    """A cc_library with the stubs and service classes of the services in `proto`.

    The .proto files lie in the package that calls this and are imported by their
    path from the root of the workspace.

    Args:
      name: of the cc_library.
      proto: the proto_library.
      cc_proto: the cc_proto_library of `proto`.
      generate_mocks: also generate `<file>_mock.grpc.pb.h`, with gMock stubs.
      **kwargs: handed to the cc_library.
    """
    generated = name + "_generated"
    _generate(
        name = generated,
        generate_mocks = generate_mocks,
        proto = proto,
        visibility = ["//visibility:private"],
    )
    for group in ["hdrs", "srcs"]:
        native.filegroup(
            name = generated + "_" + group,
            srcs = [":" + generated],
            output_group = group,
            visibility = ["//visibility:private"],
        )
    native.cc_library(
        name = name,
        srcs = [":" + generated + "_srcs"],
        hdrs = [":" + generated + "_hdrs"],
        deps = [cc_proto, "@com_github_grpc_grpc//:grpc++"],
        **kwargs
    )
