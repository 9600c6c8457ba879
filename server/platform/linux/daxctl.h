// What libdaxctl and sysfs say of this host's dax devices.

#ifndef WEFT_SERVER_PLATFORM_LINUX_DAXCTL_H_
#define WEFT_SERVER_PLATFORM_LINUX_DAXCTL_H_

#include <vector>

#include "absl/status/statusor.h"
#include "server/platform/dax.h"

namespace weft {

// Every dax device of every region, in whatever mode. Reads sysfs only.
absl::StatusOr<std::vector<DaxInfo>> ReadDaxDevices();

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_DAXCTL_H_
