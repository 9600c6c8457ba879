// Pages of an ordered table.

#ifndef WEFT_SERVER_CORE_PAGING_H_
#define WEFT_SERVER_CORE_PAGING_H_

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/core/errors.h"

namespace weft {

inline constexpr int32_t kDefaultPageSize = 100;
inline constexpr int32_t kMaxPageSize = 1000;

inline int32_t PageSize(int32_t asked) {
  return asked <= 0 ? kDefaultPageSize : std::min(asked, kMaxPageSize);
}

// A page token is opaque to clients: the name of the last object given, in base64.
inline std::string EncodePageToken(const std::string& last_name) {
  return absl::WebSafeBase64Escape(last_name);
}

// INVALID_ARGUMENT BAD_PAGE_TOKEN.
inline absl::Status DecodePageToken(const std::string& token, std::string* last_name) {
  if (absl::WebSafeBase64Unescape(token, last_name)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_PAGE_TOKEN,
                   absl::StrCat("page_token \"", token, "\" did not come from an earlier page"));
}

}  // namespace weft

#endif  // WEFT_SERVER_CORE_PAGING_H_
