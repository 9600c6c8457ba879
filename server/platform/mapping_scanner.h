// Which processes of this host have a device mapped.

#ifndef WEFT_SERVER_PLATFORM_MAPPING_SCANNER_H_
#define WEFT_SERVER_PLATFORM_MAPPING_SCANNER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/core/types.h"

namespace weft {

// A part of a device that a process has mapped.
struct FileMapping {
  // As in the question.
  std::string path;
  ByteOffset offset;
  ByteCount length;
  int pid = 0;

  friend bool operator==(const FileMapping&, const FileMapping&) = default;
};

// Thread-safe. May block for as long as it takes to look at every process.
class MappingScanner {
 public:
  virtual ~MappingScanner() = default;

  // All mappings of the files at `paths`, by whatever name they were opened, in all
  // processes but this one. A process that ends meanwhile may be missed. An error if any
  // process that lives cannot be looked at: then nothing is known.
  virtual absl::StatusOr<std::vector<FileMapping>> Scan(const std::vector<std::string>& paths) = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_MAPPING_SCANNER_H_
