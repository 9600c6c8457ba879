#include "server/core/allocator.h"

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/core/errors.h"

namespace weft {
namespace {

constexpr uint64_t kUnit = kExtentUnit.value();
constexpr uint64_t kHuge = kHugeUnit.value() / kUnit;

DeviceId Device(uint8_t number) {
  std::array<uint8_t, 16> bytes{};
  bytes[15] = number;
  return DeviceId(bytes);
}

ByteCount Size(uint64_t units) { return ByteCount(units * kUnit); }

// An extent, in units of kExtentUnit.
Extent Units(uint8_t device, uint64_t first, uint64_t count) {
  return {Device(device), ByteOffset(first * kUnit), Size(count)};
}

// A pool of devices 1, 2, ... of so many units each.
Allocator PoolOf(const std::vector<uint64_t>& capacities) {
  Allocator pool;
  uint8_t number = 0;
  for (const uint64_t capacity : capacities) pool.AddDevice(Device(++number), Size(capacity));
  return pool;
}

// Leaves only `free`, of a pool of devices that are all free.
void LeaveFree(Allocator& pool, const std::vector<uint64_t>& capacities,
               const std::vector<Extent>& free) {
  for (size_t i = 0; i < capacities.size(); ++i) {
    ASSERT_TRUE(pool.Reserve(Units(static_cast<uint8_t>(i + 1), 0, capacities[i])).ok());
  }
  for (const Extent& extent : free) pool.Free(extent);
}

AllocationRequest Request(v1::Placement placement, uint64_t units) {
  AllocationRequest request;
  request.placement = placement;
  request.size = Size(units);
  return request;
}

AllocationRequest StripedRequest(uint64_t units, uint32_t columns, uint64_t chunk_units) {
  AllocationRequest request = Request(v1::STRIPED, units);
  request.stripe = {columns, Size(chunk_units)};
  return request;
}

AllocationRequest GrowRequest(uint64_t units, std::vector<Extent> after) {
  AllocationRequest request = Request(v1::PACK, units);
  request.grow_after = std::move(after);
  return request;
}

void ExpectError(const absl::Status& status, absl::StatusCode code, v1::Reason reason,
                 const std::string& part_of_message) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_EQ(v1::Reason_Name(ReasonOf(status)), v1::Reason_Name(reason)) << status;
  EXPECT_NE(std::string(status.message()).find(part_of_message), std::string::npos) << status;
}

void ExpectExtents(const absl::StatusOr<Allocation>& result, const std::vector<Extent>& expected) {
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->extents, expected);
}

TEST(Pack, TakesTheSmallestExtentThatIsEnoughOnAnyDevice) {
  Allocator pool = PoolOf({20, 20});
  LeaveFree(pool, {20, 20}, {Units(1, 0, 6), Units(1, 10, 4), Units(2, 5, 3)});
  ExpectExtents(pool.Allocate(Request(v1::PACK, 3)), {Units(2, 5, 3)});
  ExpectExtents(pool.Allocate(Request(v1::PACK, 3)), {Units(1, 10, 3)});
  ExpectExtents(pool.Allocate(Request(v1::PACK, 3)), {Units(1, 0, 3)});
}

TEST(Pack, TakesTheLargestExtentsAndThenTheBestFit) {
  Allocator pool = PoolOf({40});
  LeaveFree(pool, {40}, {Units(1, 0, 2), Units(1, 5, 8), Units(1, 20, 5), Units(1, 30, 3)});
  ExpectExtents(pool.Allocate(Request(v1::PACK, 10)), {Units(1, 5, 8), Units(1, 0, 2)});
}

TEST(Pack, AlignsHugeSegmentsWhereAlignedExtentsExist) {
  const std::vector<uint64_t> capacities = {8 * kHuge};
  Allocator pool = PoolOf(capacities);
  // The best fit by size alone is not aligned.
  LeaveFree(pool, capacities, {Units(1, 1, kHuge), Units(1, 3 * kHuge - 5, 2 * kHuge)});
  ExpectExtents(pool.Allocate(Request(v1::PACK, kHuge)), {Units(1, 3 * kHuge, kHuge)});
  ExpectExtents(pool.Allocate(Request(v1::PACK, kHuge)), {Units(1, 1, kHuge)});
}

TEST(Pack, KeepsAllButTheEndOfAHugeSegmentInWholeHugeUnits) {
  const std::vector<uint64_t> capacities = {16 * kHuge};
  Allocator pool = PoolOf(capacities);
  LeaveFree(
      pool, capacities,
      {Units(1, 0, 2 * kHuge + 9), Units(1, 4 * kHuge, 2 * kHuge + 200), Units(1, 10 * kHuge, 30)});
  // The rest goes behind the extent with room for it, which then is the last.
  ExpectExtents(pool.Allocate(Request(v1::PACK, 4 * kHuge + 100)),
                {Units(1, 0, 2 * kHuge), Units(1, 4 * kHuge, 2 * kHuge + 100)});
}

TEST(Pack, DoesNotSpendAlignedSpaceOnTheEndOfAHugeSegment) {
  const std::vector<uint64_t> capacities = {16 * kHuge};
  Allocator pool = PoolOf(capacities);
  LeaveFree(pool, capacities,
            {Units(1, 0, kHuge), Units(1, 4 * kHuge, kHuge), Units(1, 10 * kHuge + 1, 30)});
  ExpectExtents(pool.Allocate(Request(v1::PACK, kHuge + 30)),
                {Units(1, 4 * kHuge, kHuge), Units(1, 10 * kHuge + 1, 30)});
}

TEST(Pack, GivesUpAlignmentBeforeItFails) {
  const std::vector<uint64_t> capacities = {8 * kHuge};
  Allocator pool = PoolOf(capacities);
  LeaveFree(pool, capacities, {Units(1, 1, 3 * kHuge - 1), Units(1, 4 * kHuge, kHuge)});
  AllocationRequest request = Request(v1::PACK, 3 * kHuge - 1);
  request.max_extents = 1;
  ExpectExtents(pool.Allocate(request), {Units(1, 1, 3 * kHuge - 1)});
}

TEST(Spread, GoesToTheEmptiestDeviceAndSpillsToTheNext) {
  Allocator pool = PoolOf({10, 12, 10});
  ExpectExtents(pool.Allocate(Request(v1::SPREAD, 3)), {Units(2, 0, 3)});
  ExpectExtents(pool.Allocate(Request(v1::SPREAD, 3)), {Units(1, 0, 3)});
  ExpectExtents(pool.Allocate(Request(v1::SPREAD, 3)), {Units(3, 0, 3)});
  ExpectExtents(pool.Allocate(Request(v1::SPREAD, 17)),
                {Units(2, 3, 9), Units(1, 3, 7), Units(3, 3, 1)});
}

TEST(Spread, GivesUpAlignmentBeforeItFails) {
  const std::vector<uint64_t> capacities = {4 * kHuge, 4 * kHuge};
  Allocator pool = PoolOf(capacities);
  // What device 2 has to give is one extent only if not aligned.
  LeaveFree(pool, capacities,
            {Units(1, 0, 3 * kHuge), Units(2, 1, 2 * kHuge), Units(2, 3 * kHuge, kHuge / 2)});
  AllocationRequest request = Request(v1::SPREAD, 5 * kHuge);
  request.max_extents = 2;
  ExpectExtents(pool.Allocate(request), {Units(1, 0, 3 * kHuge), Units(2, 1, 2 * kHuge)});
}

TEST(Spread, AlignsOnTheDeviceThatItSpillsTo) {
  const std::vector<uint64_t> capacities = {4 * kHuge, 4 * kHuge};
  Allocator pool = PoolOf(capacities);
  LeaveFree(pool, capacities, {Units(1, 0, 3 * kHuge), Units(2, 1, 2 * kHuge)});
  ExpectExtents(pool.Allocate(Request(v1::SPREAD, 4 * kHuge)),
                {Units(1, 0, 3 * kHuge), Units(2, kHuge, kHuge)});
}

// Device 1 can give an aligned extent, but at the price of a second one.
TEST(Spread, DoesNotSpendAnExtentOnAlignmentThatIsNeededLater) {
  const std::vector<uint64_t> capacities = {4 * kHuge, kHuge};
  Allocator pool = PoolOf(capacities);
  const std::vector<Extent> free = {Units(1, kHuge - 5, kHuge + 5), Units(2, 0, 10),
                                    Units(2, 20, 10)};
  LeaveFree(pool, capacities, free);
  AllocationRequest request = Request(v1::SPREAD, kHuge + 25);
  request.max_extents = 3;
  ExpectExtents(pool.Allocate(request), {free[0], free[2], free[1]});
  for (const Extent& extent : free) pool.Free(extent);
  request.max_extents = 4;
  ExpectExtents(pool.Allocate(request),
                {Units(1, kHuge, kHuge), Units(1, kHuge - 5, 5), free[2], free[1]});
}

TEST(Local, GoesToTheNearestDeviceAndSpillsToTheNext) {
  Allocator pool = PoolOf({10, 10, 10, 20});
  AllocationRequest request = Request(v1::LOCAL, 4);
  request.distances = {{Device(1), 20}, {Device(2), 10}, {Device(3), 10}};
  ExpectExtents(pool.Allocate(request), {Units(2, 0, 4)});
  request.size = Size(35);
  ExpectExtents(pool.Allocate(request),
                {Units(3, 0, 10), Units(2, 4, 6), Units(1, 0, 10), Units(4, 0, 9)});
}

TEST(Striped, GivesOneEqualExtentPerDevice) {
  Allocator pool = PoolOf({10, 14, 12});
  const auto result = pool.Allocate(StripedRequest(12, 2, 3));
  ExpectExtents(result, {Units(2, 0, 6), Units(3, 0, 6)});
  EXPECT_EQ(result->stripe, (Stripe{2, Size(3)}));
  EXPECT_EQ(pool.Allocate(Request(v1::PACK, 1))->stripe, Stripe{});
}

TEST(Striped, PassesOverDevicesWithoutALongEnoughExtent) {
  Allocator pool = PoolOf({20, 20, 20});
  LeaveFree(pool, {20, 20, 20},
            {Units(1, 0, 5), Units(1, 6, 5), Units(1, 12, 5), Units(2, 3, 8), Units(3, 9, 6)});
  ExpectExtents(pool.Allocate(StripedRequest(12, 2, 1)), {Units(2, 3, 6), Units(3, 9, 6)});
}

TEST(Striped, FailsFragmentedWithoutEnoughDevices) {
  Allocator pool = PoolOf({10, 10});
  const FreeStats before = pool.pool_stats();
  ExpectError(pool.Allocate(StripedRequest(12, 3, 2)).status(),
              absl::StatusCode::kResourceExhausted, v1::FRAGMENTED,
              "a free extent of 8.00 MiB on each of 3 devices");
  EXPECT_EQ(pool.pool_stats(), before);
}

TEST(Striped, GrowsInAllColumnsOrInNone) {
  Allocator pool = PoolOf({20, 20, 20});
  AllocationRequest request = StripedRequest(4, 2, 1);
  ExpectExtents(pool.Allocate(request), {Units(1, 0, 2), Units(2, 0, 2)});
  request.grow_after = {Units(1, 0, 2), Units(2, 0, 2)};
  request.max_extents = 0;
  ExpectExtents(pool.Allocate(request), {Units(1, 2, 2), Units(2, 2, 2)});
  request.grow_after = {Units(1, 2, 2), Units(2, 2, 2)};
  request.max_extents = 2;
  ASSERT_TRUE(pool.Reserve(Units(2, 5, 1)).ok());
  ExpectExtents(pool.Allocate(request), {Units(3, 0, 2), Units(1, 4, 2)});
}

TEST(Grow, ContinuesTheLastExtentBeforeItTakesOthers) {
  Allocator pool = PoolOf({20});
  LeaveFree(pool, {20}, {Units(1, 2, 4), Units(1, 10, 3)});
  ExpectExtents(pool.Allocate(GrowRequest(2, {Units(1, 0, 2)})), {Units(1, 2, 2)});
  ExpectExtents(pool.Allocate(GrowRequest(4, {Units(1, 2, 2)})), {Units(1, 4, 2), Units(1, 10, 2)});
  ExpectExtents(pool.Allocate(GrowRequest(1, {Units(1, 4, 2)})), {Units(1, 12, 1)});
}

TEST(Grow, ContinuesWhateverThePolicy) {
  Allocator pool = PoolOf({20, 30});
  ASSERT_TRUE(pool.Reserve(Units(1, 0, 4)).ok());
  AllocationRequest request = Request(v1::SPREAD, 3);
  request.grow_after = {Units(1, 0, 4)};
  ExpectExtents(pool.Allocate(request), {Units(1, 4, 3)});
}

TEST(Grow, DoesNotCountTheContinuationAsAnExtent) {
  Allocator pool = PoolOf({20});
  LeaveFree(pool, {20}, {Units(1, 2, 4), Units(1, 10, 3)});
  AllocationRequest request = GrowRequest(5, {Units(1, 0, 2)});
  request.max_extents = 0;
  ExpectError(pool.Allocate(request).status(), absl::StatusCode::kResourceExhausted, v1::FRAGMENTED,
              "at most 0 new extents");
  EXPECT_EQ(pool.pool_stats(), (FreeStats{Size(7), Size(4), 2}));
  request.max_extents = 1;
  ExpectExtents(pool.Allocate(request), {Units(1, 2, 4), Units(1, 10, 1)});
}

TEST(Grow, LeavesADrainingDevice) {
  Allocator pool = PoolOf({20, 20});
  pool.SetAllocatable(Device(1), false);
  ExpectExtents(pool.Allocate(GrowRequest(2, {Units(1, 0, 2)})), {Units(2, 0, 2)});
}

TEST(Allocate, TellsFullFromFragmentedAndStatesTheSizes) {
  Allocator pool = PoolOf({20});
  LeaveFree(pool, {20}, {Units(1, 0, 3), Units(1, 5, 2), Units(1, 9, 1)});
  AllocationRequest request = Request(v1::PACK, 7);
  ExpectError(pool.Allocate(request).status(), absl::StatusCode::kResourceExhausted, v1::POOL_FULL,
              "14.00 MiB asked for, but the devices that take segments have 12.00 MiB in 3 free "
              "extents, the largest of 6.00 MiB");
  request.size = Size(6);
  request.max_extents = 2;
  ExpectError(pool.Allocate(request).status(), absl::StatusCode::kResourceExhausted, v1::FRAGMENTED,
              "12.00 MiB asked for; 12.00 MiB in 3 free extents, the largest of 6.00 MiB");
  EXPECT_EQ(pool.pool_stats(), (FreeStats{Size(6), Size(3), 3}));
}

TEST(Allocate, FailsFullWithoutDevices) {
  Allocator pool;
  EXPECT_EQ(ReasonOf(pool.Allocate(Request(v1::PACK, 1)).status()), v1::POOL_FULL);
}

TEST(Allocate, RefusesBadSizes) {
  Allocator pool = PoolOf({20});
  AllocationRequest request = Request(v1::PACK, 1);
  for (const uint64_t size : {uint64_t{0}, uint64_t{1}, kUnit - 1, kUnit + 4096, uint64_t{1} << 63,
                              UINT64_MAX - kUnit + 1}) {
    request.size = ByteCount(size);
    ExpectError(pool.Allocate(request).status(), absl::StatusCode::kInvalidArgument, v1::BAD_SIZE,
                std::to_string(size));
  }
  // Not a multiple of a row of chunks.
  for (const uint64_t units : {1, 5, 9}) {
    EXPECT_EQ(ReasonOf(pool.Allocate(StripedRequest(units, 2, 2)).status()), v1::BAD_SIZE);
  }
}

TEST(Allocate, RefusesBadArguments) {
  Allocator pool = PoolOf({20, 20});
  AllocationRequest unaligned_chunk = StripedRequest(4, 2, 1);
  unaligned_chunk.stripe.chunk = ByteCount(kUnit / 2);
  AllocationRequest half_of_the_columns = StripedRequest(4, 2, 1);
  half_of_the_columns.grow_after = {Units(1, 0, 1)};
  for (const AllocationRequest& request :
       {StripedRequest(4, 0, 1), StripedRequest(4, 1, 1), StripedRequest(65, 65, 1),
        StripedRequest(4, 2, 0), unaligned_chunk, half_of_the_columns,
        GrowRequest(1, {Units(1, 0, 1), Units(2, 0, 1)}), Request(v1::PLACEMENT_UNSPECIFIED, 1),
        Request(static_cast<v1::Placement>(99), 1)}) {
    const absl::Status status = pool.Allocate(request).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(ReasonOf(status), v1::BAD_ARGUMENT) << status;
  }
  EXPECT_EQ(pool.pool_stats(), (FreeStats{Size(40), Size(20), 2}));
}

TEST(Allocate, TakesNothingFromADrainingDevice) {
  Allocator pool = PoolOf({10, 4});
  pool.SetAllocatable(Device(1), false);
  EXPECT_EQ(pool.pool_stats(), (FreeStats{Size(4), Size(4), 1}));
  EXPECT_EQ(ReasonOf(pool.Allocate(Request(v1::PACK, 5)).status()), v1::POOL_FULL);
  ASSERT_TRUE(pool.Reserve(Units(1, 0, 1)).ok());
  pool.Free(Units(1, 0, 1));
  pool.SetAllocatable(Device(1), true);
  ExpectExtents(pool.Allocate(Request(v1::PACK, 5)), {Units(1, 0, 5)});
}

TEST(Reserve, TakesExactlyWhatIsAskedFor) {
  Allocator pool = PoolOf({10});
  ASSERT_TRUE(pool.Reserve(Units(1, 3, 2)).ok());
  EXPECT_EQ(pool.device_stats(Device(1)), (FreeStats{Size(8), Size(5), 2}));
  for (const Extent& extent : {Units(1, 3, 2), Units(1, 2, 2), Units(1, 4, 3), Units(1, 0, 10)}) {
    ExpectError(pool.Reserve(extent), absl::StatusCode::kFailedPrecondition, v1::IN_USE,
                "choose another extent");
  }
  pool.Free(Units(1, 3, 2));
  EXPECT_EQ(pool.device_stats(Device(1)), (FreeStats{Size(10), Size(10), 1}));
}

TEST(Reserve, RefusesWhatIsNotAnExtentOfTheDevice) {
  Allocator pool = PoolOf({10});
  const Extent half{Device(1), ByteOffset(kUnit / 2), Size(1)};
  const Extent odd_length{Device(1), ByteOffset(0), ByteCount(kUnit + 1)};
  const Extent wraps{Device(1), ByteOffset(kUnit), ByteCount(UINT64_MAX - kUnit + 1)};
  for (const Extent& extent : {Units(1, 0, 0), Units(1, 0, 11), Units(1, 9, 2), Units(1, 10, 1),
                               half, odd_length, wraps}) {
    ExpectError(pool.Reserve(extent), absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                "of device 00000000-");
  }
  ExpectError(pool.Reserve(Units(2, 0, 1)), absl::StatusCode::kNotFound, v1::DEVICE_NOT_FOUND,
              "00000000-0000-0000-0000-000000000002");
  EXPECT_EQ(pool.pool_stats(), (FreeStats{Size(10), Size(10), 1}));
}

TEST(RemoveDevice, TakesItsBytesAway) {
  Allocator pool = PoolOf({10, 4});
  pool.RemoveDevice(Device(1));
  EXPECT_EQ(pool.pool_stats(), (FreeStats{Size(4), Size(4), 1}));
  pool.AddDevice(Device(1), Size(2));
  EXPECT_EQ(pool.pool_stats(), (FreeStats{Size(6), Size(4), 2}));
}

// Memory and time per operation follow the free extents; that their number does not depend
// on the capacity is what makes an empty pool of 1 PiB as cheap as one of 1 GiB.
TEST(Cost, IsTheSameForAnyCapacity) {
  Allocator small = PoolOf({kHuge});
  Allocator large = PoolOf({kHuge << 20});
  EXPECT_EQ(large.pool_stats().free, ByteCount(uint64_t{1} << 50));
  std::vector<Extent> live;
  for (uint64_t i = 0; i < 100; ++i) {
    const AllocationRequest request = Request(i % 2 == 0 ? v1::PACK : v1::SPREAD, 1 + i % 5);
    const auto in_small = small.Allocate(request);
    const auto in_large = large.Allocate(request);
    ASSERT_TRUE(in_small.ok() && in_large.ok());
    ASSERT_EQ(in_small->extents, in_large->extents);
    ASSERT_EQ(small.pool_stats().extents, large.pool_stats().extents);
    live.push_back(in_small->extents.front());
    if (i % 3 != 0) continue;
    small.Free(live[i / 3]);
    large.Free(live[i / 3]);
    ASSERT_EQ(small.pool_stats().extents, large.pool_stats().extents);
  }
}

TEST(AllocatorDeathTest, StopsOnProgrammerErrors) {
  EXPECT_DEATH(PoolOf({10}).Free(Units(1, 0, 1)), "free already");
  EXPECT_DEATH(PoolOf({10}).Free(Units(2, 0, 1)), "DEVICE_NOT_FOUND|not in the pool");
  EXPECT_DEATH(PoolOf({10}).Free(Units(1, 9, 2)), "inside the device");
  EXPECT_DEATH(PoolOf({10}).AddDevice(Device(1), Size(10)), "in the pool already");
  EXPECT_DEATH(PoolOf({0}), "check failed");
  EXPECT_DEATH(PoolOf({10}).AddDevice(Device(2), ByteCount(kUnit + 1)), "check failed");
  EXPECT_DEATH(PoolOf({10}).AddDevice(Device(2), kMaxBytes), "check failed");
  EXPECT_DEATH(PoolOf({10}).RemoveDevice(Device(2)), "not in the pool");
  EXPECT_DEATH(
      {
        Allocator pool = PoolOf({10});
        const auto result = pool.Allocate(Request(v1::PACK, 4));
        pool.Free(result->extents.front());
        pool.Free(result->extents.front());
      },
      "free already");
}

}  // namespace
}  // namespace weft
