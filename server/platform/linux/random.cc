#include "server/platform/linux/random.h"

#include <errno.h>
#include <sys/random.h>

#include "server/core/check.h"

namespace weft {

void LinuxRandom::Fill(absl::Span<uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = getrandom(bytes.data(), bytes.size(), 0);
    if (n < 0) {
      WEFT_CHECK(errno == EINTR);
      continue;
    }
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

}  // namespace weft
