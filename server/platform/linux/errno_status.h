// From errno to absl::Status.

#ifndef WEFT_SERVER_PLATFORM_LINUX_ERRNO_STATUS_H_
#define WEFT_SERVER_PLATFORM_LINUX_ERRNO_STATUS_H_

#include <string_view>

#include "absl/status/status.h"

namespace weft {

// The status for `error` from the system call `call` on `object`; both are in its text.
// Bad memory (EIO, EHWPOISON) is DATA_LOSS POISONED, a device that is not there
// (ENOENT, ENODEV, ENXIO) FAILED_PRECONDITION DEVICE_MISSING, lack of rights (EACCES,
// EPERM) PERMISSION_DENIED NOT_ALLOWED; other errors have Abseil's code for them and no
// reason. REQUIRES: error != 0.
absl::Status ErrnoError(int error, std::string_view call, std::string_view object);

// The same for a file on a disk, where EIO is not bad memory: Abseil's code, and no reason.
absl::Status DiskError(int error, std::string_view call, std::string_view path);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_ERRNO_STATUS_H_
