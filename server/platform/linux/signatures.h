// Signatures as libblkid and famfs know them.

#ifndef WEFT_SERVER_PLATFORM_LINUX_SIGNATURES_H_
#define WEFT_SERVER_PLATFORM_LINUX_SIGNATURES_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/platform/signatures.h"

namespace weft {

// Looks in the first and last 4 MiB, where every format that libblkid knows keeps a
// signature.
class LinuxSignatureProbe final : public SignatureProbe {
 public:
  absl::StatusOr<std::optional<std::string>> Find(Device& device) override;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_SIGNATURES_H_
