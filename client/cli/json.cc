#include "client/cli/json.h"

#include "google/protobuf/util/json_util.h"
#include "server/core/check.h"

namespace weft::cli {
namespace {

std::string Print(const google::protobuf::Message& message, bool indented) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.add_whitespace = indented;
  std::string text;
  // Fails only for messages with an Any of unknown type; Weft's have none.
  WEFT_CHECK(google::protobuf::util::MessageToJsonString(message, &text, options).ok());
  return text;
}

}  // namespace

std::string ToJsonLine(const google::protobuf::Message& message) { return Print(message, false); }
std::string ToJson(const google::protobuf::Message& message) { return Print(message, true); }

}  // namespace weft::cli
