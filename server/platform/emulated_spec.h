// How an administrator names an emulated device.

#ifndef WEFT_SERVER_PLATFORM_EMULATED_SPEC_H_
#define WEFT_SERVER_PLATFORM_EMULATED_SPEC_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/core/types.h"

namespace weft {

// A file that stands in for a device. All hosts (daemons) that are to share the device
// name the same file.
struct EmulatedSpec {
  std::string path;
  ByteCount size;
  // What the host calls the device.
  std::string name;
  // What the host says of the device, so that placement and programs can be tried
  // against it.
  bool software_coherent = false;
  uint32_t numa_distance = 0;

  friend bool operator==(const EmulatedSpec&, const EmulatedSpec&) = default;
};

// Reads "path=FILE,size=SIZE[,name=NAME][,coherence=hardware|software][,distance=N]" in any
// order. SIZE takes k, M, G or T (powers of 1024), is a multiple of 2 MiB and at least 6 MiB: two
// labels and one extent. NAME is of letters, digits, '.', '_' and '-'; by default the file's last
// path component. N is a NUMA distance of 10 (local) to 254; by default it is not known.
// INVALID_ARGUMENT BAD_ARGUMENT or BAD_SIZE otherwise.
absl::StatusOr<EmulatedSpec> ParseEmulatedSpec(std::string_view text);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_EMULATED_SPEC_H_
