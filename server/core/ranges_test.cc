#include "server/core/ranges.h"

#include <set>

#include "gtest/gtest.h"

namespace weft {
namespace {

ByteRange R(uint64_t offset, uint64_t length) { return {ByteOffset(offset), ByteCount(length)}; }

std::set<uint64_t> BytesOf(const ByteRanges& ranges) {
  std::set<uint64_t> bytes;
  for (const ByteRange& range : ranges) {
    for (uint64_t b = range.offset.value(); b < range.end().value(); ++b) bytes.insert(b);
  }
  return bytes;
}

// Every set of the bytes 0 to 6.
ByteRanges SetOf(unsigned bits) {
  ByteRanges ranges;
  for (unsigned b = 0; b < 7; ++b) {
    if ((bits >> b & 1) != 0) ranges.push_back(R(b, 1));
  }
  return Joined(ranges);
}

TEST(RangesTest, JoinedIsTheSameBytesInOrderAndApart) {
  EXPECT_EQ(Joined({R(8, 4), R(0, 4), R(3, 1), R(4, 2), R(20, 0)}), (ByteRanges{R(0, 6), R(8, 4)}));
}

TEST(RangesTest, OperationsAreThoseOnSetsOfBytes) {
  for (unsigned a = 0; a < 128; ++a) {
    for (unsigned b = 0; b < 128; ++b) {
      ASSERT_EQ(Union(SetOf(a), SetOf(b)), SetOf(a | b)) << a << " " << b;
      ASSERT_EQ(Intersection(SetOf(a), SetOf(b)), SetOf(a & b)) << a << " " << b;
      ASSERT_EQ(Difference(SetOf(a), SetOf(b)), SetOf(a & ~b)) << a << " " << b;
      ASSERT_EQ(TotalOf(SetOf(a)).value(), BytesOf(SetOf(a)).size());
    }
  }
}

TEST(RangesTest, UnitsCover) {
  const uint64_t unit = kExtentUnit.value();
  EXPECT_EQ(ToUnits({R(unit + 1, 1), R(2 * unit - 1, 2), R(5 * unit, unit)}),
            (ByteRanges{R(unit, 2 * unit), R(5 * unit, unit)}));
}

TEST(RangesTest, TooManyAreCoarsened) {
  const uint64_t unit = kExtentUnit.value();
  const ByteRanges ranges = {R(1, 1), R(3, 1), R(4 * unit, 1)};
  EXPECT_EQ(Coarsened(ranges, 3), ranges);
  EXPECT_EQ(Coarsened(ranges, 2), (ByteRanges{R(0, unit), R(4 * unit, unit)}));
  EXPECT_EQ(Coarsened(ranges, 1), (ByteRanges{R(0, 5 * unit)}));
}

}  // namespace
}  // namespace weft
