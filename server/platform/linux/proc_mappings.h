// Mappings as /proc tells them.

#ifndef WEFT_SERVER_PLATFORM_LINUX_PROC_MAPPINGS_H_
#define WEFT_SERVER_PLATFORM_LINUX_PROC_MAPPINGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/platform/mapping_scanner.h"

namespace weft {

// What to make of a process that this one may not look at: one of another user, or one with
// more capabilities (PID 1 of a container's host, say).
enum class Unreadable {
  // It may have anything mapped: an error. Needs CAP_SYS_PTRACE where there are such.
  kError,
  // It has nothing mapped. For files that no stranger has a descriptor of.
  kIgnored,
};

// Reads /proc/<pid>/maps of every process.
class ProcMappings final : public MappingScanner {
 public:
  explicit ProcMappings(Unreadable unreadable) : unreadable_(unreadable) {}

  absl::StatusOr<std::vector<FileMapping>> Scan(const std::vector<std::string>& paths) override;

 private:
  const Unreadable unreadable_;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_PROC_MAPPINGS_H_
