// Chance, from a seed.

#ifndef WEFT_TESTS_SIM_RNG_H_
#define WEFT_TESTS_SIM_RNG_H_

#include <cstdint>

#include "absl/time/time.h"
#include "server/platform/random.h"

namespace weft::sim {

// SplitMix64 (Steele, Lea, Flood 2014): the same numbers on every machine and standard
// library. Not thread-safe.
class Rng final : public Random {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // In [0, bound). REQUIRES: bound > 0.
  uint64_t Below(uint64_t bound) { return Next() % bound; }
  // Once in `n` times.
  bool OneIn(uint64_t n) { return Below(n) == 0; }
  // In [low, high].
  absl::Duration Between(absl::Duration low, absl::Duration high) {
    const int64_t range = absl::ToInt64Microseconds(high - low);
    return low + absl::Microseconds(static_cast<int64_t>(Below(static_cast<uint64_t>(range) + 1)));
  }
  // In [0, 1).
  double Fraction() { return static_cast<double>(Next() >> 11) / 9007199254740992.0; }
  // Another stream of numbers, which does not depend on how many of these are drawn later.
  Rng Fork() { return Rng(Next()); }

  void Fill(absl::Span<uint8_t> bytes) override {
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(Next() >> 56);
  }

 private:
  uint64_t state_;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_RNG_H_
