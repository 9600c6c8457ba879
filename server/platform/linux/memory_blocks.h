// The pieces in which the kernel takes system memory online and offline.

#ifndef WEFT_SERVER_PLATFORM_LINUX_MEMORY_BLOCKS_H_
#define WEFT_SERVER_PLATFORM_LINUX_MEMORY_BLOCKS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/platform/linux/dax_ranges.h"

namespace weft {

// What keeps claimed memory from use, and so its contents, until the claim's rule comes.
inline constexpr char kKeepOffline[] =
    "start this host with memhp_default_state=offline on the kernel's command line";

// The directories in sysfs of the blocks within `ranges` that are in use as memory: dax_kmem
// makes memory of whole blocks only, so one that is partly outside is of other memory.
absl::StatusOr<std::vector<std::string>> FindOnlineBlocks(const std::string& sys,
                                                          const std::vector<PhysicalRange>& ranges);

// For people: "2 blocks are online".
std::string OnlineText(size_t blocks);

// Whether memory that comes anew is in use at once.
bool ComesOnline(const std::string& sys);

// Takes all of the blocks offline, which moves what is in them elsewhere, or none: those that
// went before an error come back, for the same use. Gives a block `patience` to empty: the
// kernel would wait for pages that are pinned for ever. Not to be called by two threads at a
// time.
//
//   FAILED_PRECONDITION IN_USE  a block does not empty; says what to do
absl::Status TakeOffline(const std::vector<std::string>& blocks, absl::Duration patience);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_MEMORY_BLOCKS_H_
