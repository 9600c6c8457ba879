"""Every system library that Weft uses. tools/packages lists the same packages."""

load("//third_party/debian:debian_library.bzl", "debian_library")

# Abseil's targets by folder; each has a pkg-config module `absl_<target>`.
_ABSEIL = {
    "algorithm": ["container"],
    "base": ["config", "core_headers", "dynamic_annotations"],
    "cleanup": ["cleanup"],
    "container": ["btree", "flat_hash_map", "flat_hash_set", "inlined_vector"],
    "debugging": ["failure_signal_handler", "stacktrace", "symbolize"],
    "functional": ["any_invocable", "bind_front", "function_ref"],
    "hash": ["hash"],
    "memory": ["memory"],
    "meta": ["type_traits"],
    "numeric": ["bits", "int128"],
    "random": ["bit_gen_ref", "distributions", "random"],
    "status": ["status", "statusor"],
    "strings": ["cord", "str_format", "strings"],
    "synchronization": ["synchronization"],
    "time": ["time"],
    "types": ["optional", "span", "variant"],
    "utility": ["utility"],
}

# Where a module is not called after its target.
_ABSEIL_MODULES = {
    "algorithm:container": "absl_algorithm_container",
    "random:bit_gen_ref": "absl_random_bit_gen_ref",
    "random:distributions": "absl_random_distributions",
    "random:random": "absl_random_random",
}

# The well-known types of protobuf, with what each imports.
_WELL_KNOWN_TYPES = {
    "any": [],
    "descriptor": [],
    "duration": [],
    "empty": [],
    "field_mask": [],
    "struct": [],
    "timestamp": [],
    "wrappers": [],
}

_PROTOBUF_BUILD = """
sh_binary(
    name = "protoc",
    srcs = ["protoc.bin"],
)

proto_lang_toolchain(
    name = "cc_toolchain",
    blacklisted_protos = [{well_known}],
    command_line = "--cpp_out=$(OUT)",
    runtime = ":protobuf",
)
"""

_WELL_KNOWN_BUILD = """
proto_library(
    name = "{name}_proto",
    srcs = ["google/protobuf/{name}.proto"],
)
"""

_GRPC_BUILD = """
sh_binary(
    name = "grpc_cpp_plugin",
    srcs = ["grpc_cpp_plugin.bin"],
)
"""

def _abseil():
    targets = {}
    for folder, names in _ABSEIL.items():
        for name in names:
            label = folder + ":" + name
            targets["absl/" + label] = [_ABSEIL_MODULES.get(label, "absl_" + name)]
    debian_library(
        name = "com_google_absl",
        headers = ["/usr/include/absl/base/config.h"],
        package = "libabsl-dev",
        targets = targets,
    )

def _protobuf():
    symlinks = {"protoc.bin": "/usr/bin/protoc"}
    for name in _WELL_KNOWN_TYPES:
        path = "google/protobuf/{}.proto".format(name)
        symlinks[path] = "/usr/include/" + path
    debian_library(
        name = "com_google_protobuf",
        extra_build = _PROTOBUF_BUILD.format(
            well_known = ", ".join(["\":{}_proto\"".format(t) for t in _WELL_KNOWN_TYPES]),
        ) + "".join([_WELL_KNOWN_BUILD.format(name = t) for t in _WELL_KNOWN_TYPES]),
        headers = ["/usr/include/google/protobuf/message.h", "/usr/bin/protoc"],
        package = "libprotobuf-dev protobuf-compiler",
        symlinks = symlinks,
        targets = {":protobuf": ["protobuf"]},
    )

def _grpc():
    debian_library(
        name = "com_github_grpc_grpc",
        extra_build = _GRPC_BUILD,
        headers = ["/usr/include/grpcpp/grpcpp.h", "/usr/bin/grpc_cpp_plugin"],
        package = "libgrpc++-dev protobuf-compiler-grpc",
        symlinks = {"grpc_cpp_plugin.bin": "/usr/bin/grpc_cpp_plugin"},
        targets = {
            ":grpc++": ["grpc++", "protobuf"],
            # Reflection has no pkg-config module.
            ":grpc++_reflection": ["-lgrpc++_reflection", "grpc++", "protobuf"],
        },
    )

def debian_libraries():
    """Defines every repository. To be called once, from WORKSPACE."""
    _abseil()
    _protobuf()
    _grpc()
    debian_library(
        name = "com_google_googletest",
        headers = ["/usr/include/gtest/gtest.h", "/usr/include/gmock/gmock.h"],
        package = "libgtest-dev libgmock-dev",
        targets = {
            ":gtest": ["gmock"],
            ":gtest_main": ["gmock_main"],
        },
    )
    debian_library(
        name = "com_google_benchmark",
        headers = ["/usr/include/benchmark/benchmark.h"],
        package = "libbenchmark-dev",
        targets = {
            ":benchmark": ["benchmark", "-pthread"],
            ":benchmark_main": ["-lbenchmark_main", "benchmark", "-pthread"],
        },
    )
    debian_library(
        name = "com_github_gabime_spdlog",
        headers = ["/usr/include/spdlog/spdlog.h"],
        package = "libspdlog-dev",
        targets = {":spdlog": ["spdlog"]},
    )
    debian_library(
        name = "com_github_fmtlib_fmt",
        headers = ["/usr/include/fmt/format.h"],
        package = "libfmt-dev",
        targets = {":fmt": ["fmt"]},
    )
    debian_library(
        name = "com_github_cliutils_cli11",
        headers = ["/usr/include/CLI/CLI.hpp"],
        package = "libcli11-dev",
        targets = {":cli11": ["CLI11"]},
    )
    debian_library(
        name = "nlohmann_json",
        headers = ["/usr/include/nlohmann/json.hpp"],
        package = "nlohmann-json3-dev",
        targets = {":json": ["nlohmann_json"]},
    )
    debian_library(
        name = "com_github_jupp0r_prometheus_cpp",
        headers = ["/usr/include/prometheus/registry.h"],
        package = "prometheus-cpp-dev",
        targets = {
            ":core": ["prometheus-cpp-core"],
            ":pull": ["prometheus-cpp-pull"],
        },
    )
    debian_library(
        name = "sqlite3",
        headers = ["/usr/include/sqlite3.h"],
        package = "libsqlite3-dev",
        targets = {":sqlite3": ["sqlite3"]},
    )
    debian_library(
        name = "libdaxctl",
        headers = ["/usr/include/daxctl/libdaxctl.h"],
        package = "libdaxctl-dev",
        targets = {":daxctl": ["libdaxctl"]},
    )
    debian_library(
        name = "libblkid",
        headers = ["/usr/include/blkid/blkid.h"],
        package = "libblkid-dev",
        targets = {":blkid": ["blkid"]},
    )
    debian_library(
        name = "libuuid",
        headers = ["/usr/include/uuid/uuid.h"],
        package = "uuid-dev",
        targets = {":uuid": ["uuid"]},
    )
    debian_library(
        name = "openssl",
        headers = ["/usr/include/openssl/sha.h"],
        package = "libssl-dev",
        targets = {":crypto": ["libcrypto"]},
    )
    debian_library(
        name = "isal",
        headers = ["/usr/include/isa-l/crc.h"],
        package = "libisal-dev",
        targets = {":isal": ["libisal"]},
    )
