#include "tests/soak/kill/pattern.h"

#include <cstring>

#include "absl/strings/str_cat.h"

namespace weft::soak {
namespace {

constexpr size_t kWordBytes = sizeof(uint64_t);

// A bijection that spreads every bit (the finaliser of SplitMix64).
constexpr uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

uint64_t KeyOf(const Stamp& stamp) {
  return Mix(Mix(Mix(stamp.segment_id) + stamp.generation) + stamp.version);
}

// Never 0: a zero word is one that nobody wrote.
uint64_t WordAt(uint64_t key, uint64_t offset_bytes) { return Mix(key + offset_bytes) | 1; }

}  // namespace

void Fill(std::span<std::byte> bytes, uint64_t offset_bytes, const Stamp& stamp) {
  const uint64_t key = KeyOf(stamp);
  for (size_t at = 0; at < bytes.size(); at += kWordBytes) {
    const uint64_t word = WordAt(key, offset_bytes + at);
    std::memcpy(&bytes[at], &word, kWordBytes);
  }
}

std::string Differs(std::span<const std::byte> bytes, uint64_t offset_bytes, const Stamp& stamp) {
  const uint64_t key = KeyOf(stamp);
  for (size_t at = 0; at < bytes.size(); at += kWordBytes) {
    uint64_t word;
    std::memcpy(&word, &bytes[at], kWordBytes);
    const uint64_t expected = stamp.version == 0 ? 0 : WordAt(key, offset_bytes + at);
    if (word == expected) continue;
    return absl::StrCat("at byte ", offset_bytes + at, " there is ", absl::Hex(word), ", not ",
                        stamp.version == 0 ? "zero" : absl::StrCat("version ", stamp.version),
                        " of segment id ", stamp.segment_id);
  }
  return "";
}

}  // namespace weft::soak
