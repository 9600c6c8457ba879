// Randomness: ids and nonces come from here, so that a test can repeat them.

#ifndef WEFT_SERVER_PLATFORM_RANDOM_H_
#define WEFT_SERVER_PLATFORM_RANDOM_H_

#include <array>
#include <cstdint>

#include "absl/types/span.h"
#include "server/core/types.h"

namespace weft {

// Thread-safe.
class Random {
 public:
  virtual ~Random() = default;

  // Overwrites `bytes`. The real one is fit for secrets.
  virtual void Fill(absl::Span<uint8_t> bytes) = 0;
};

using Random128 = std::array<uint8_t, 16>;

// 128 random bits: a nonce, a ticket.
Random128 NewRandom128(Random& random);

// A version 4 UUID (RFC 9562). Never nil.
Uuid NewUuid(Random& random);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_RANDOM_H_
