// What an administrator says of a dax device of this host.

#ifndef WEFT_SERVER_PLATFORM_DEVICE_SPEC_H_
#define WEFT_SERVER_PLATFORM_DEVICE_SPEC_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace weft {

struct DeviceSpec {
  // dax0.0: as the kernel calls it now.
  std::string name;
  // The kernel does not tell: other hosts see a store only once it is flushed.
  bool software_coherent = false;
  // Whether Weft may have it.
  bool use = true;

  friend bool operator==(const DeviceSpec&, const DeviceSpec&) = default;
};

// Reads "name=NAME[,coherence=hardware|software][,use=yes|no]" in any order. INVALID_ARGUMENT
// BAD_ARGUMENT otherwise.
absl::StatusOr<DeviceSpec> ParseDeviceSpec(std::string_view text);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_DEVICE_SPEC_H_
