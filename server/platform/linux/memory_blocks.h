// The pieces in which the kernel takes system memory online and offline.

#ifndef WEFT_SERVER_PLATFORM_LINUX_MEMORY_BLOCKS_H_
#define WEFT_SERVER_PLATFORM_LINUX_MEMORY_BLOCKS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weft {

// Physical addresses; the end is the last byte's, as the kernel prints it.
struct PhysicalRange {
  uint64_t begin = 0;
  uint64_t last = 0;
};

// The directories in sysfs of the blocks within `ranges` that are in use as memory.
absl::StatusOr<std::vector<std::string>> FindOnlineBlocks(const std::string& sys,
                                                          const std::vector<PhysicalRange>& ranges);

// Moves what is in the block elsewhere. FAILED_PRECONDITION IN_USE if that cannot be done.
absl::Status TakeOffline(const std::string& block);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_MEMORY_BLOCKS_H_
