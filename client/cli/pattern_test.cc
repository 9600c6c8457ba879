#include "client/cli/pattern.h"

#include <set>
#include <vector>

#include "gtest/gtest.h"

namespace weft::cli {
namespace {

std::vector<std::byte> Pattern(uint64_t size_bytes, uint64_t offset_bytes, uint64_t seed) {
  std::vector<std::byte> bytes(size_bytes);
  WritePattern(bytes, offset_bytes, seed);
  return bytes;
}

TEST(PatternTest, FindsWhatWasWritten) {
  const std::vector<std::byte> bytes = Pattern(4096, 2 << 20, 7);
  EXPECT_FALSE(FindMismatch(bytes, 2 << 20, 7).has_value());
}

TEST(PatternTest, EveryChangedBitIsFound) {
  std::vector<std::byte> bytes = Pattern(64, 128, 1);
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    bytes[bit / 8] ^= std::byte(1 << bit % 8);
    const auto mismatch = FindMismatch(bytes, 128, 1);
    ASSERT_TRUE(mismatch.has_value()) << bit;
    EXPECT_EQ(mismatch->offset_bytes, 128 + bit / 64 * 8);
    EXPECT_EQ(mismatch->expected ^ mismatch->found, uint64_t{1} << bit % 64);
    bytes[bit / 8] ^= std::byte(1 << bit % 8);
  }
}

TEST(PatternTest, TheFirstOfSeveralIsReported) {
  std::vector<std::byte> bytes = Pattern(4096, 0, 1);
  bytes[4000] ^= std::byte(1);
  bytes[1001] ^= std::byte(1);
  EXPECT_EQ(FindMismatch(bytes, 0, 1)->offset_bytes, 1000u);
}

TEST(PatternTest, MemoryOfZerosOrOfAnotherSeedDiffersAtOnce) {
  const std::vector<std::byte> zeros(4096);
  EXPECT_EQ(FindMismatch(zeros, 0, 0)->offset_bytes, 0u);
  EXPECT_EQ(FindMismatch(Pattern(4096, 0, 2), 0, 1)->offset_bytes, 0u);
}

TEST(PatternTest, BytesOfAnotherPlaceAreFound) {
  EXPECT_EQ(FindMismatch(Pattern(4096, 4096, 1), 0, 1)->offset_bytes, 0u);
}

TEST(PatternTest, NoWordComesTwice) {
  std::set<uint64_t> words;
  for (uint64_t offset = 0; offset < 1 << 20; offset += kPatternWordBytes) {
    EXPECT_TRUE(words.insert(PatternWord(1, offset)).second) << offset;
  }
}

// Both hosts of a segment, and every version of weft, must agree.
TEST(PatternTest, IsTheSameForEver) {
  EXPECT_EQ(PatternWord(0, 0), 0x48218226ff3cd4bfu);
  EXPECT_EQ(PatternWord(1, 0), 0xdce423fc82c0d5b8u);
  EXPECT_EQ(PatternWord(1, 64 << 20), 0xa42b3ad421da8435u);
  EXPECT_EQ(Pattern(8, 0, 1)[0], std::byte(0xb8)) << "little-endian";
}

}  // namespace
}  // namespace weft::cli
