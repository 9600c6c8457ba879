// The names of pools, segments, hosts and devices, as the API and the CLI write them.

#ifndef WEFT_SERVER_CORE_NAMES_H_
#define WEFT_SERVER_CORE_NAMES_H_

#include <compare>
#include <ostream>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/core/types.h"

namespace weft {

// An id: what a pool, segment or host is called inside its collection. 1 to 63 characters of
// a-z, 0-9, '.', '_' and '-'; the first and the last is a letter or a digit.
inline constexpr size_t kMaxIdLength = 63;

// The ids in `pools/<pool>/segments/<segment>`.
struct SegmentName {
  std::string pool;
  std::string segment;

  friend auto operator<=>(const SegmentName&, const SegmentName&) = default;
  friend std::ostream& operator<<(std::ostream& out, const SegmentName& name) {
    return out << name.pool << "/" << name.segment;
  }
};

// All that follow return INVALID_ARGUMENT BAD_NAME, with what is wrong and an example, for
// a name that is not of the form named.

// `kind` ("pool", "segment", "host") is for the message.
absl::Status CheckId(std::string_view kind, std::string_view id);

absl::StatusOr<std::string> ParsePoolName(std::string_view name);     // pools/<pool>
absl::StatusOr<SegmentName> ParseSegmentName(std::string_view name);  // as SegmentName
absl::StatusOr<std::string> ParseHostName(std::string_view name);     // hosts/<host>
absl::StatusOr<DeviceId> ParseDeviceName(std::string_view name);      // devices/<uuid>
// <pool>/<segment>: what people type.
absl::StatusOr<SegmentName> ParseShortSegmentName(std::string_view name);

// The reverse. REQUIRES: valid ids.
std::string FormatPoolName(std::string_view pool);
std::string FormatSegmentName(const SegmentName& name);
std::string FormatHostName(std::string_view host);
std::string FormatDeviceName(const DeviceId& device);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_NAMES_H_
