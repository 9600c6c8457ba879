// Sizes as people write and read them.

#ifndef WEFT_SERVER_CORE_SIZE_TEXT_H_
#define WEFT_SERVER_CORE_SIZE_TEXT_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/core/types.h"

namespace weft {

// Reads a decimal integer with at most one suffix, k, M, G, T or P in either case, a power
// of 1024, as ndctl does: "512M", "1G", "2097152". No sign, space or fraction.
// INVALID_ARGUMENT BAD_SIZE for anything else, and for kMaxBytes or more.
absl::StatusOr<ByteCount> ParseSize(std::string_view text);

// `size` in the largest binary unit that leaves at least 1, with two digits that are cut
// off, not rounded, so that free space is never overstated: "1.50 GiB", "512 B".
std::string FormatSize(ByteCount size);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_SIZE_TEXT_H_
