// What the module's errors mean.

#ifndef WEFT_SERVER_PLATFORM_LINUX_KMOD_ERRORS_H_
#define WEFT_SERVER_PLATFORM_LINUX_KMOD_ERRORS_H_

#include <string_view>

#include "absl/status/status.h"

namespace weft {

// The status for `error` from the command `call` of /dev/weft on `object`: as ErrnoError, but
// for the errors that kmod/uapi/weft.h gives a meaning of its own. REQUIRES: error != 0.
absl::Status KmodError(int error, std::string_view call, std::string_view object);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_KMOD_ERRORS_H_
