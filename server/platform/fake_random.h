// Randomness that repeats itself.

#ifndef WEFT_SERVER_PLATFORM_FAKE_RANDOM_H_
#define WEFT_SERVER_PLATFORM_FAKE_RANDOM_H_

#include <random>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/platform/random.h"

namespace weft {

// The same seed gives the same bytes, on every machine.
class FakeRandom final : public Random {
 public:
  explicit FakeRandom(uint64_t seed = 1) : engine_(seed) {}

  void Fill(absl::Span<uint8_t> bytes) override {
    absl::MutexLock lock(&mu_);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(engine_() >> 56);
  }

 private:
  absl::Mutex mu_;
  std::mt19937_64 engine_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_FAKE_RANDOM_H_
