#include "server/core/free_space.h"

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <ostream>

#include "gtest/gtest.h"

namespace weft {

std::ostream& operator<<(std::ostream& out, const Range& range) {
  return out << range.offset << "+" << range.length;
}

namespace {

constexpr uint64_t kUnit = kExtentUnit.value();
constexpr uint64_t kUnitsPerHuge = kHugeUnit.value() / kUnit;

// A range in units of kExtentUnit.
Range Units(uint64_t first, uint64_t count) {
  return {ByteOffset(first * kUnit), ByteCount(count * kUnit)};
}

// A set that holds `ranges`, which do not touch.
FreeSpace Holding(std::initializer_list<Range> ranges) {
  FreeSpace free;
  for (const Range& range : ranges) free.Insert(range);
  return free;
}

TEST(FreeSpace, IsEmptyAtFirst) {
  const FreeSpace free;
  EXPECT_EQ(free.free_bytes(), ByteCount(0));
  EXPECT_EQ(free.extent_count(), 0u);
  EXPECT_EQ(free.FreeFrom(ByteOffset(0)), ByteCount(0));
  EXPECT_EQ(free.Largest(Alignment::kExtent), std::nullopt);
  EXPECT_EQ(free.BestFit(kExtentUnit, Alignment::kExtent), std::nullopt);
}

TEST(FreeSpace, JoinsWhatTouches) {
  FreeSpace free = Holding({Units(0, 1), Units(4, 2)});
  free.Insert(Units(1, 1));  // behind
  EXPECT_EQ(free.extent_count(), 2u);
  free.Insert(Units(3, 1));  // before
  EXPECT_EQ(free.extent_count(), 2u);
  free.Insert(Units(2, 1));  // between
  EXPECT_EQ(free.extent_count(), 1u);
  EXPECT_EQ(free.Largest(Alignment::kExtent), Units(0, 6));
  EXPECT_EQ(free.free_bytes(), ByteCount(6 * kUnit));
}

TEST(FreeSpace, TakesAnyPartOfAnExtent) {
  FreeSpace free = Holding({Units(0, 10)});
  EXPECT_TRUE(free.Take(Units(4, 2)));
  EXPECT_EQ(free.extent_count(), 2u);
  EXPECT_TRUE(free.Take(Units(0, 1)));
  EXPECT_TRUE(free.Take(Units(9, 1)));
  EXPECT_TRUE(free.Take(Units(1, 3)));
  EXPECT_EQ(free.extent_count(), 1u);
  EXPECT_EQ(free.Largest(Alignment::kExtent), Units(6, 3));
}

TEST(FreeSpace, TakesNothingUnlessAllIsFree) {
  FreeSpace free = Holding({Units(2, 2), Units(5, 2)});
  for (const Range& range : {Units(1, 1), Units(1, 2), Units(3, 2), Units(2, 5), Units(4, 1),
                             Units(6, 2), Units(7, 1), Units(0, 9)}) {
    EXPECT_FALSE(free.Take(range)) << range.offset.value() / kUnit;
    EXPECT_EQ(free.free_bytes(), ByteCount(4 * kUnit));
    EXPECT_EQ(free.extent_count(), 2u);
  }
}

TEST(FreeSpace, SaysHowMuchFollows) {
  const FreeSpace free = Holding({Units(2, 3)});
  EXPECT_EQ(free.FreeFrom(Units(1, 0).offset), ByteCount(0));
  EXPECT_EQ(free.FreeFrom(Units(2, 0).offset), ByteCount(3 * kUnit));
  EXPECT_EQ(free.FreeFrom(Units(4, 0).offset), ByteCount(kUnit));
  EXPECT_EQ(free.FreeFrom(Units(5, 0).offset), ByteCount(0));
}

TEST(FreeSpace, BestFitIsTheSmallestThatIsEnoughAtTheLowestOffset) {
  const FreeSpace free = Holding({Units(0, 5), Units(10, 3), Units(20, 3), Units(30, 4)});
  EXPECT_EQ(free.BestFit(Units(0, 1).length, Alignment::kExtent), Units(10, 1));
  EXPECT_EQ(free.BestFit(Units(0, 3).length, Alignment::kExtent), Units(10, 3));
  EXPECT_EQ(free.BestFit(Units(0, 4).length, Alignment::kExtent), Units(30, 4));
  EXPECT_EQ(free.BestFit(Units(0, 5).length, Alignment::kExtent), Units(0, 5));
  EXPECT_EQ(free.BestFit(Units(0, 6).length, Alignment::kExtent), std::nullopt);
}

TEST(FreeSpace, AlignedFitCountsFromTheFirstAlignedOffset) {
  // The first is the larger, but has less from its aligned offset on than the second.
  const FreeSpace free =
      Holding({Units(1, 2 * kUnitsPerHuge), Units(4 * kUnitsPerHuge - 1, kUnitsPerHuge + 3)});
  EXPECT_EQ(free.BestFit(kHugeUnit, Alignment::kHuge), Units(kUnitsPerHuge, kUnitsPerHuge));
  EXPECT_EQ(free.BestFit(kHugeUnit + Units(0, 2).length, Alignment::kHuge),
            Units(4 * kUnitsPerHuge, kUnitsPerHuge + 2));
  EXPECT_EQ(free.BestFit(kHugeUnit + Units(0, 3).length, Alignment::kHuge), std::nullopt);
  EXPECT_EQ(free.Largest(Alignment::kHuge), Units(4 * kUnitsPerHuge, kUnitsPerHuge + 2));
}

TEST(FreeSpace, AlignedSearchIgnoresWhatHoldsNoHugeUnit) {
  FreeSpace free = Holding({Units(1, 2 * kUnitsPerHuge - 2)});
  EXPECT_EQ(free.Largest(Alignment::kHuge), std::nullopt);
  free.Insert(Units(0, 1));
  EXPECT_EQ(free.Largest(Alignment::kHuge), Units(0, 2 * kUnitsPerHuge - 1));
  ASSERT_TRUE(free.Take(Units(kUnitsPerHuge - 1, 1)));
  EXPECT_EQ(free.Largest(Alignment::kHuge), std::nullopt);
}

TEST(FreeSpace, AlignedSearchFindsExactlyOneHugeUnit) {
  const FreeSpace free = Holding({Units(kUnitsPerHuge - 3, kUnitsPerHuge + 3)});
  EXPECT_EQ(free.Largest(Alignment::kHuge), Units(kUnitsPerHuge, kUnitsPerHuge));
  EXPECT_EQ(free.BestFit(kHugeUnit, Alignment::kHuge), Units(kUnitsPerHuge, kUnitsPerHuge));
}

TEST(FreeSpaceDeathTest, RefusesToInsertFreeBytes) {
  for (const Range& range : {Units(2, 2), Units(1, 2), Units(3, 2), Units(2, 1), Units(1, 4)}) {
    EXPECT_DEATH(Holding({Units(2, 2)}).Insert(range), "free already");
  }
  EXPECT_DEATH(Holding({}).Insert(Units(0, 0)), "check failed");
}

}  // namespace
}  // namespace weft
