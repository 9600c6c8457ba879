// The kernel's random numbers.

#ifndef WEFT_SERVER_PLATFORM_LINUX_RANDOM_H_
#define WEFT_SERVER_PLATFORM_LINUX_RANDOM_H_

#include "server/platform/random.h"

namespace weft {

// getrandom(2). Blocks only in the first moments after boot, until the kernel is seeded.
class LinuxRandom final : public Random {
 public:
  void Fill(absl::Span<uint8_t> bytes) override;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_RANDOM_H_
