// Mappings as /proc tells them.

#ifndef WEFT_SERVER_PLATFORM_LINUX_PROC_MAPPINGS_H_
#define WEFT_SERVER_PLATFORM_LINUX_PROC_MAPPINGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/platform/mapping_scanner.h"

namespace weft {

// Reads /proc/<pid>/maps of every process. Needs to be allowed to (root, or the owner of
// all processes that may have a device mapped): a process of another user that cannot be
// read is an error.
class ProcMappings final : public MappingScanner {
 public:
  absl::StatusOr<std::vector<FileMapping>> Scan(const std::vector<std::string>& paths) override;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_PROC_MAPPINGS_H_
