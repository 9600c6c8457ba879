#include "server/node/inventory.h"

#include <vector>

#include "gtest/gtest.h"
#include "server/node/kmod_inventory.h"
#include "server/platform/fake_kmod.h"

namespace weft {
namespace {

v1::HostSegment Granted(uint64_t id, int extents = 1) {
  v1::HostSegment segment;
  segment.set_segment_id(id);
  segment.mutable_grant()->set_segment_id(id);
  v1::Run& run = *segment.mutable_grant()->add_runs();
  for (int i = 0; i < extents; ++i) run.add_extents();
  return segment;
}

v1::KernelSegment InKernel(uint64_t id) {
  v1::KernelSegment kernel;
  kernel.set_segment_id(id);
  return kernel;
}

// A page that fails again right after it was zeroed is as bad as it was told to be before.
TEST(ToldInventoryTest, WhatWasZeroedIsToldAgainThoughItIsAsBadAsBefore) {
  v1::DeviceInventory devices;
  ToldInventory told;
  EXPECT_TRUE(told.Tell(devices));
  EXPECT_FALSE(told.has_bad());
  devices.add_devices()->add_bad_ranges()->set_length_bytes(4096);
  EXPECT_TRUE(told.Tell(devices));
  EXPECT_FALSE(told.Tell(devices));
  EXPECT_TRUE(told.has_bad());
  told.Forget();
  EXPECT_TRUE(told.Tell(devices));
  EXPECT_FALSE(told.Tell(devices));
}

TEST(MergeSegmentsTest, OneEntryForASegment) {
  const v1::HostInventory inventory =
      MergeSegments({Granted(1), Granted(3)}, {InKernel(2), InKernel(3)});
  ASSERT_EQ(inventory.segments_size(), 3);
  EXPECT_TRUE(inventory.segments(0).has_grant() && !inventory.segments(0).has_kernel());
  EXPECT_TRUE(!inventory.segments(1).has_grant() && inventory.segments(1).has_kernel());
  EXPECT_TRUE(inventory.segments(2).has_grant() && inventory.segments(2).has_kernel());
  EXPECT_EQ(inventory.segments(1).segment_id(), 2u);
  EXPECT_EQ(inventory.through_segment_id(), 0u);
}

TEST(MergeSegmentsTest, WhatHasNoRoomIsOfTheNextPage) {
  std::vector<v1::HostSegment> granted;
  std::vector<v1::KernelSegment> in_kernel;
  for (uint64_t id = 1; id <= kMaxInventorySegments + 1; ++id) {
    granted.push_back(Granted(2 * id));
    in_kernel.push_back(InKernel(2 * id + 1));
  }
  const v1::HostInventory inventory = MergeSegments(granted, in_kernel);
  EXPECT_EQ(inventory.segments_size(), static_cast<int>(kMaxInventorySegments));
  EXPECT_EQ(inventory.through_segment_id(), inventory.segments().rbegin()->segment_id());
}

TEST(MergeSegmentsTest, AMessageHasOnlySoManyExtents) {
  const v1::HostInventory inventory = MergeSegments(
      {Granted(1, kMaxInventoryExtents + 1), Granted(2, kMaxInventoryExtents), Granted(3)}, {});
  EXPECT_EQ(inventory.segments_size(), 1) << "one goes in however long it is";
  EXPECT_EQ(inventory.through_segment_id(), 1u);
}

TEST(ListKernelSegmentsTest, ThoseAfterAnIdWithoutWhatIsMadeToScrub) {
  FakeKmod kmod;
  const auto device = kmod.AddDevice("/dev/dax0.0", Uuid(), /*software_coherent=*/false);
  ASSERT_TRUE(device.ok()) << device.status();
  uint64_t offset = kExtentUnit.value();
  for (const uint64_t id : {uint64_t{7}, uint64_t{3}, uint64_t{5}, kFirstScrubSegment}) {
    const KmodRun run{{{device->id, ByteOffset(offset), kExtentUnit}}, ByteCount(0)};
    offset += kExtentUnit.value();
    const absl::Status made = kmod.CreateSegment(SegmentId(id), {1, id}, Access::kReadWrite, {run});
    ASSERT_TRUE(made.ok()) << made;
  }
  ASSERT_TRUE(kmod.OpenSegment(SegmentId(7), {1, 7}, Access::kReadWrite).ok());
  const auto listed = ListKernelSegments(kmod, SegmentId(3), 9);
  ASSERT_TRUE(listed.ok()) << listed.status();
  ASSERT_EQ(listed->size(), 2u);
  EXPECT_EQ((*listed)[0].segment_id(), 5u);
  EXPECT_EQ((*listed)[0].state(), v1::KERNEL_LIVE);
  EXPECT_EQ((*listed)[1].segment_id(), 7u);
  EXPECT_EQ((*listed)[1].token().counter(), 7u);
  EXPECT_EQ((*listed)[1].handles(), 1u);
  EXPECT_EQ((*listed)[1].size_bytes(), kExtentUnit.value());
  EXPECT_EQ(ListKernelSegments(kmod, SegmentId(), 1)->size(), 1u);
}

}  // namespace
}  // namespace weft
