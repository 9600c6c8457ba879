#include "client/cli/pattern.h"

#include <bit>
#include <cstring>

namespace weft::cli {
namespace {

static_assert(std::endian::native == std::endian::little,
              "words are stored as this processor has them");

// The finalizer of SplitMix64: a bijection in which every bit depends on every other.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

constexpr uint64_t kGoldenRatio = 0x9e3779b97f4a7c15;

}  // namespace

uint64_t PatternWord(uint64_t seed, uint64_t offset_bytes) {
  return Mix(Mix(seed + kGoldenRatio) + offset_bytes / kPatternWordBytes * kGoldenRatio);
}

void WritePattern(std::span<std::byte> bytes, uint64_t offset_bytes, uint64_t seed) {
  for (uint64_t at = 0; at < bytes.size(); at += kPatternWordBytes) {
    const uint64_t word = PatternWord(seed, offset_bytes + at);
    std::memcpy(bytes.data() + at, &word, sizeof word);
  }
}

std::optional<Mismatch> FindMismatch(std::span<const std::byte> bytes, uint64_t offset_bytes,
                                     uint64_t seed) {
  for (uint64_t at = 0; at < bytes.size(); at += kPatternWordBytes) {
    const uint64_t expected = PatternWord(seed, offset_bytes + at);
    uint64_t found = 0;
    std::memcpy(&found, bytes.data() + at, sizeof found);
    if (found != expected) return Mismatch{offset_bytes + at, expected, found};
  }
  return std::nullopt;
}

}  // namespace weft::cli
