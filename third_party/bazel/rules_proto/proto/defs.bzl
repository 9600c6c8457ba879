"""The proto rules built into Bazel, under the names that rules_proto gives them."""

# The global, kept under another name so that it can be exported under its own.
_ProtoInfo = ProtoInfo

ProtoInfo = _ProtoInfo
proto_lang_toolchain = native.proto_lang_toolchain
proto_library = native.proto_library
