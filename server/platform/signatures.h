// What other software may have put on a device.

#ifndef WEFT_SERVER_PLATFORM_SIGNATURES_H_
#define WEFT_SERVER_PLATFORM_SIGNATURES_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/platform/device.h"

namespace weft {

class SignatureProbe {
 public:
  virtual ~SignatureProbe() = default;

  // The file system, RAID member, swap area, partition table and the like that begins or
  // ends on `device`, in words ("ext4 filesystem"); nothing if no signature is known.
  // Changes nothing. Errors as of Device::Read.
  virtual absl::StatusOr<std::optional<std::string>> Find(Device& device) = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_SIGNATURES_H_
