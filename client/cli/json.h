// Output for programs: the API's resources in protobuf's JSON mapping, whole, with every
// field that is not a message present: names in lowerCamelCase, 64-bit integers as strings,
// enums by name.

#ifndef WEFT_CLIENT_CLI_JSON_H_
#define WEFT_CLIENT_CLI_JSON_H_

#include <string>
#include <vector>

#include "google/protobuf/message.h"

namespace weft::cli {

// On one line, without a line break at its end.
std::string ToJsonLine(const google::protobuf::Message& message);

// For one resource: indented, with a line break at its end.
std::string ToJson(const google::protobuf::Message& message);

// One array, one resource on each line.
template <typename Message>
std::string ToJson(const std::vector<Message>& messages) {
  std::string text = "[";
  for (const Message& message : messages) {
    text += text.size() == 1 ? "\n" : ",\n";
    text += ToJsonLine(message);
  }
  return text + (messages.empty() ? "]\n" : "\n]\n");
}

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_JSON_H_
