// Pages of an ordered table.

#ifndef WEFT_SERVER_CORE_PAGING_H_
#define WEFT_SERVER_CORE_PAGING_H_

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
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

inline absl::Status BadPageToken() {
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_PAGE_TOKEN,
                   "page_token did not come from an earlier page");
}

// INVALID_ARGUMENT BAD_PAGE_TOKEN.
inline absl::Status DecodePageToken(const std::string& token, std::string* last_name) {
  return absl::WebSafeBase64Unescape(token, last_name) ? absl::OkStatus() : BadPageToken();
}

}  // namespace weft

#endif  // WEFT_SERVER_CORE_PAGING_H_
