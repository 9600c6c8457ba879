// Contents that say whose they are: a byte of any other segment, of an earlier life of the
// same bytes or of an older write of the owner is told apart.

#ifndef WEFT_TESTS_SOAK_KILL_PATTERN_H_
#define WEFT_TESTS_SOAK_KILL_PATTERN_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace weft::soak {

struct Stamp {
  uint64_t segment_id = 0;
  uint64_t generation = 0;
  // Counts the owner's writes; 0: it has not written, all is zero.
  uint64_t version = 0;
};

// Each function takes bytes of the segment from `offset_bytes` on; both are multiples of 8.

void Fill(std::span<std::byte> bytes, uint64_t offset_bytes, const Stamp& stamp);
// The first difference from what Fill wrote, or from zeros for version 0; empty: none.
std::string Differs(std::span<const std::byte> bytes, uint64_t offset_bytes, const Stamp& stamp);

}  // namespace weft::soak

#endif  // WEFT_TESTS_SOAK_KILL_PATTERN_H_
