// Which of the kernel's dax devices Weft can use.

#ifndef WEFT_SERVER_PLATFORM_LINUX_DAX_CLASSIFY_H_
#define WEFT_SERVER_PLATFORM_LINUX_DAX_CLASSIFY_H_

#include <string_view>

#include "absl/status/status.h"
#include "server/platform/dax.h"

namespace weft {

// The mode that `driver`, as sysfs names it, stands for; "" is no driver.
DaxMode ModeOfDriver(std::string_view driver);

// OK if the devdax backend can use the device; otherwise FAILED_PRECONDITION
// NOT_SUPPORTED or NOT_ALLOWED with what is in the way and what to run against it.
absl::Status CheckUsable(const DaxInfo& info, bool allow_raw_devdax);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_DAX_CLASSIFY_H_
