// The API's enums as people type and read them: `single-writer` for SINGLE_WRITER.

#ifndef WEFT_CLIENT_CLI_CHOICES_H_
#define WEFT_CLIENT_CLI_CHOICES_H_

#include <CLI/CLI.hpp>
#include <map>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_replace.h"
#include "google/protobuf/generated_enum_reflection.h"

namespace weft::cli {

// `prefix` is what all names of the enum begin with ("HOST_"); it is left out.
template <typename Enum>
std::string Choice(Enum value, const std::string& prefix = "") {
  const google::protobuf::EnumDescriptor* const type = google::protobuf::GetEnumDescriptor<Enum>();
  const google::protobuf::EnumValueDescriptor* const descriptor = type->FindValueByNumber(value);
  // A newer coordinator's value.
  if (descriptor == nullptr) return std::to_string(static_cast<int>(value));
  std::string name = value == 0 ? "unspecified" : descriptor->name();
  if (name.starts_with(prefix)) name.erase(0, prefix.size());
  absl::AsciiStrToLower(&name);
  return absl::StrReplaceAll(name, {{"_", "-"}});
}

// Adds an option that takes one of the enum's values by name; `value` outlives the parsing.
template <typename Enum>
CLI::Option* AddChoice(CLI::App* verb, const std::string& name, Enum& value,
                       const std::string& description) {
  const google::protobuf::EnumDescriptor* const type = google::protobuf::GetEnumDescriptor<Enum>();
  std::map<std::string, Enum> choices;
  std::string names;
  for (int i = 0; i < type->value_count(); ++i) {
    const auto choice = static_cast<Enum>(type->value(i)->number());
    if (choice == 0) continue;
    choices[Choice(choice)] = choice;
    names += (names.empty() ? "" : "|") + Choice(choice);
  }
  return verb
      ->add_option_function<std::string>(
          name, [&value, choices](const std::string& text) { value = choices.at(text); },
          description)
      ->check([choices, names](const std::string& text) {
        return choices.contains(text) ? "" : "\"" + text + "\" is not one of " + names;
      })
      ->type_name(names);
}

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_CHOICES_H_
