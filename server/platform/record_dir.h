// A few records that a process leaves for its successor on the same host.

#ifndef WEFT_SERVER_PLATFORM_RECORD_DIR_H_
#define WEFT_SERVER_PLATFORM_RECORD_DIR_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weft {

// Survives the end of the process, however it ends; not a crash of the host. Each change
// happens whole or not at all. Not thread-safe.
class RecordDir {
 public:
  virtual ~RecordDir() = default;

  virtual absl::StatusOr<std::map<std::string, std::string>> ReadAll() = 0;
  // Creates or replaces. REQUIRES: `name` is of letters, digits, '.', '_' and '-', and does
  // not begin with '.'.
  virtual absl::Status Write(const std::string& name, const std::string& bytes) = 0;
  // No error if there is none.
  virtual absl::Status Remove(const std::string& name) = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_RECORD_DIR_H_
