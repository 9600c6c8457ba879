// Debian's absl::string_view is a type of its own: the way there and back.

#ifndef WEFT_CLIENT_SDK_INTERNAL_STRINGS_H_
#define WEFT_CLIENT_SDK_INTERNAL_STRINGS_H_

#include <string_view>

#include "absl/strings/string_view.h"

namespace weft::sdk {

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_INTERNAL_STRINGS_H_
