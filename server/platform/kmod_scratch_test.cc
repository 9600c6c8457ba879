#include "server/platform/kmod_scratch.h"

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/platform/fake_kmod.h"

namespace weft {
namespace {

constexpr uint64_t kUnit = kExtentUnit.value();
constexpr KmodDeviceId kDevice{3};
constexpr Token kToken{1, 5};

TEST(KmodScratchTest, ASegmentOfWholeUnitsIsThereWhileTheBodyRuns) {
  FakeKmod kmod;
  const KmodExtent piece{kDevice, ByteOffset(2 * kUnit + 4096), kExtentUnit};
  SegmentId used;
  const absl::Status status =
      WithScratch(kmod, piece, kToken, Access::kReadOnly, [&](SegmentId scratch, ByteOffset at) {
        used = scratch;
        EXPECT_GE(scratch.value(), kFirstScrubSegment);
        EXPECT_EQ(at, ByteOffset(4096));
        const FakeKmod::Segment segment = kmod.Get(scratch);
        EXPECT_EQ(segment.info.token, kToken);
        EXPECT_EQ(segment.info.mode, Access::kReadOnly);
        const KmodExtent around{kDevice, ByteOffset(2 * kUnit), ByteCount(2 * kUnit)};
        EXPECT_EQ(segment.runs.front().extents, std::vector<KmodExtent>{around});
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_FALSE(kmod.Has(used));
}

TEST(KmodScratchTest, ItIsGoneAfterAnErrorToo) {
  FakeKmod kmod;
  const KmodExtent piece{kDevice, ByteOffset(0), kExtentUnit};
  SegmentId used;
  const absl::Status status =
      WithScratch(kmod, piece, kToken, Access::kReadWrite, [&](SegmentId scratch, ByteOffset) {
        used = scratch;
        return absl::DataLossError("bad memory");
      });
  EXPECT_EQ(status, absl::DataLossError("bad memory"));
  EXPECT_FALSE(kmod.Has(used));
}

TEST(KmodScratchTest, WhatASegmentHasIsNotReached) {
  FakeKmod kmod;
  const KmodExtent piece{kDevice, ByteOffset(0), kExtentUnit};
  ASSERT_TRUE(kmod.CreateSegment(SegmentId(1), kToken, Access::kReadWrite, {{{piece}, {}}}).ok());
  const absl::Status status = WithScratch(kmod, piece, kToken, Access::kReadWrite,
                                          [](SegmentId, ByteOffset) -> absl::Status {
                                            ADD_FAILURE() << "reached";
                                            return absl::OkStatus();
                                          });
  EXPECT_EQ(ReasonOf(status), v1::BUSY_PINNED) << status;
}

}  // namespace
}  // namespace weft
