#include "server/platform/key_values.h"

#include "absl/strings/str_split.h"

namespace weft {

std::vector<std::pair<std::string, std::string>> ParseKeyValues(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const absl::string_view part :
       absl::StrSplit(absl::string_view(text.data(), text.size()), ',')) {
    pairs.push_back(absl::StrSplit(part, absl::MaxSplits('=', 1)));
  }
  return pairs;
}

std::optional<bool> ParseEither(std::string_view value, std::string_view yes, std::string_view no) {
  if (value == yes) return true;
  if (value == no) return false;
  return std::nullopt;
}

}  // namespace weft
