// A pattern to fill memory with, and to find it again: what `weft segment fill` writes and
// `weft segment verify` expects.

#ifndef WEFT_CLIENT_CLI_PATTERN_H_
#define WEFT_CLIENT_CLI_PATTERN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace weft::cli {

// The pattern is a sequence of these, little-endian.
inline constexpr uint64_t kPatternWordBytes = 8;

// The word at `offset_bytes` of the segment, a multiple of 8. No two words of one pattern
// are equal, so bytes that belong elsewhere are found out; those of two seeds have nothing
// in common.
uint64_t PatternWord(uint64_t seed, uint64_t offset_bytes);

// `bytes` are those at `offset_bytes` of the segment.
// REQUIRES: the offset and the size are multiples of 8.
void WritePattern(std::span<std::byte> bytes, uint64_t offset_bytes, uint64_t seed);

struct Mismatch {
  uint64_t offset_bytes = 0;  // In the segment.
  uint64_t expected = 0;
  uint64_t found = 0;
};

// The first word that differs; nullopt: every byte is as WritePattern leaves it.
// REQUIRES: as WritePattern.
std::optional<Mismatch> FindMismatch(std::span<const std::byte> bytes, uint64_t offset_bytes,
                                     uint64_t seed);

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_PATTERN_H_
