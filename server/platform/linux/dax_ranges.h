// Where in physical memory a dax device is.

#ifndef WEFT_SERVER_PLATFORM_LINUX_DAX_RANGES_H_
#define WEFT_SERVER_PLATFORM_LINUX_DAX_RANGES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace weft {

// Physical addresses; the end is the last byte's, as the kernel prints it.
struct PhysicalRange {
  uint64_t begin = 0;
  uint64_t last = 0;
};

// `device`: the device's directory in sysfs. In the order of its bytes.
//
//   PERMISSION_DENIED NOT_ALLOWED  the kernel tells it to root only
absl::StatusOr<std::vector<PhysicalRange>> ReadDaxRanges(const std::string& device);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_DAX_RANGES_H_
