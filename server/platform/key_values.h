// The way in which devices are described on command lines: key=value,key=value.

#ifndef WEFT_SERVER_PLATFORM_KEY_VALUES_H_
#define WEFT_SERVER_PLATFORM_KEY_VALUES_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weft {

// In their order; a value that is missing or empty is empty.
std::vector<std::pair<std::string, std::string>> ParseKeyValues(std::string_view text);

// Whether `value` is `yes` (true) or `no` (false), for any two words.
std::optional<bool> ParseEither(std::string_view value, std::string_view yes, std::string_view no);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_KEY_VALUES_H_
