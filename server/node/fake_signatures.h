// A device's signatures as a test wants them.

#ifndef WEFT_SERVER_NODE_FAKE_SIGNATURES_H_
#define WEFT_SERVER_NODE_FAKE_SIGNATURES_H_

#include <optional>
#include <string>

#include "server/platform/signatures.h"

namespace weft {

class FakeSignatureProbe final : public SignatureProbe {
 public:
  // What the next Find gives.
  std::optional<std::string> found;

  absl::StatusOr<std::optional<std::string>> Find(Device&) override { return found; }
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_FAKE_SIGNATURES_H_
