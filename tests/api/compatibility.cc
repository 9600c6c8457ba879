#include "tests/api/compatibility.h"

#include <map>

#include "absl/strings/str_cat.h"

namespace weft {
namespace {

using google::protobuf::DescriptorProto;
using google::protobuf::EnumDescriptorProto;
using google::protobuf::FieldDescriptorProto;
using google::protobuf::FileDescriptorSet;
using google::protobuf::MethodDescriptorProto;
using google::protobuf::ServiceDescriptorProto;

// Everything of an API that a program can depend on: what it is, by a name that stays.
using Surface = std::map<std::string, std::string>;

void AddField(const std::string& message, const DescriptorProto& parent,
              const FieldDescriptorProto& field, Surface& surface) {
  const std::string oneof =
      field.has_oneof_index() ? parent.oneof_decl(field.oneof_index()).name() : "";
  surface[absl::StrCat("field ", field.number(), " of ", message)] =
      absl::StrCat(field.name(), ", ", FieldDescriptorProto::Label_Name(field.label()), " ",
                   FieldDescriptorProto::Type_Name(field.type()), " ", field.type_name(),
                   oneof.empty() ? "" : absl::StrCat(", in oneof ", oneof));
}

void AddEnum(const std::string& scope, const EnumDescriptorProto& enumeration, Surface& surface) {
  const std::string name = absl::StrCat(scope, ".", enumeration.name());
  surface[absl::StrCat("enum ", name)] = "";
  for (const auto& value : enumeration.value()) {
    surface[absl::StrCat("value ", value.number(), " of ", name)] = value.name();
  }
}

void AddMessage(const std::string& scope, const DescriptorProto& message, Surface& surface) {
  const std::string name = absl::StrCat(scope, ".", message.name());
  surface[absl::StrCat("message ", name)] = "";
  for (const auto& field : message.field()) AddField(name, message, field, surface);
  for (const auto& nested : message.nested_type()) AddMessage(name, nested, surface);
  for (const auto& enumeration : message.enum_type()) AddEnum(name, enumeration, surface);
}

void AddService(const std::string& scope, const ServiceDescriptorProto& service, Surface& surface) {
  const std::string name = absl::StrCat(scope, ".", service.name());
  surface[absl::StrCat("service ", name)] = "";
  for (const MethodDescriptorProto& method : service.method()) {
    surface[absl::StrCat("call ", name, "/", method.name())] =
        absl::StrCat(method.client_streaming() ? "stream " : "", method.input_type(), " to ",
                     method.server_streaming() ? "stream " : "", method.output_type());
  }
}

Surface SurfaceOf(const FileDescriptorSet& set) {
  Surface surface;
  for (const auto& file : set.file()) {
    for (const auto& message : file.message_type()) AddMessage(file.package(), message, surface);
    for (const auto& enumeration : file.enum_type()) AddEnum(file.package(), enumeration, surface);
    for (const auto& service : file.service()) AddService(file.package(), service, surface);
  }
  return surface;
}

}  // namespace

std::vector<std::string> IncompatibleChanges(const FileDescriptorSet& before,
                                             const FileDescriptorSet& after) {
  const Surface now = SurfaceOf(after);
  std::vector<std::string> changes;
  for (const auto& [name, what] : SurfaceOf(before)) {
    const auto it = now.find(name);
    if (it == now.end()) {
      changes.push_back(absl::StrCat(name, " (", what, ") is gone"));
    } else if (it->second != what) {
      changes.push_back(absl::StrCat(name, " was (", what, ") and is (", it->second, ")"));
    }
  }
  return changes;
}

}  // namespace weft
