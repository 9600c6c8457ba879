// Memory that fails, for emulated devices: what stands in a file beside the device's own.

#ifndef WEFT_SERVER_PLATFORM_LINUX_EMULATED_POISON_H_
#define WEFT_SERVER_PLATFORM_LINUX_EMULATED_POISON_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/core/ranges.h"

namespace weft {

// The lines `OFFSET LENGTH` of `<device_path>.bad`, joined; none if there is no such file.
// INVALID_ARGUMENT BAD_ARGUMENT: another line is in it.
absl::StatusOr<ByteRanges> ReadEmulatedPoison(const std::string& device_path);

// What is in `cleared` is good again.
absl::Status ClearEmulatedPoison(const std::string& device_path, const ByteRange& cleared);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_EMULATED_POISON_H_
