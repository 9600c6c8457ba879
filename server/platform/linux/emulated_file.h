// The file behind an emulated device.

#ifndef WEFT_SERVER_PLATFORM_LINUX_EMULATED_FILE_H_
#define WEFT_SERVER_PLATFORM_LINUX_EMULATED_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "server/core/types.h"
#include "server/platform/emulated_spec.h"

namespace weft {

// Creates the file, sparse and of its full size, unless the path exists already; what
// exists is not looked at. It appears at the path all at once, so that several daemons
// may be started together on one file.
absl::Status CreateEmulatedFile(const EmulatedSpec& spec);

// Checks what `fd`, opened from `path`, stands for.
//   FAILED_PRECONDITION DEVICE_MISMATCH   not a regular file, or longer than `size`
//   DATA_LOSS BACKING_FILE_DAMAGED        shorter than `size`
absl::Status CheckEmulatedFile(int fd, const std::string& path, ByteCount size);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_EMULATED_FILE_H_
