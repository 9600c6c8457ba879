// What an allocation and its release cost, by number of free extents and by capacity. The
// first should matter little (it is a logarithm), the second not at all.

#include <array>
#include <cstdint>

#include "benchmark/benchmark.h"
#include "server/core/allocator.h"
#include "server/core/check.h"

namespace weft {
namespace {

constexpr uint64_t kUnit = kExtentUnit.value();

DeviceId Device(uint8_t number) {
  std::array<uint8_t, 16> bytes{};
  bytes[15] = number;
  return DeviceId(bytes);
}

// Takes every second unit of device `id`, so that `extents` are free in front of the rest.
void Fragment(Allocator& pool, const DeviceId& id, int64_t extents) {
  for (int64_t i = 1; i < extents; ++i) {
    const ByteOffset taken((2 * static_cast<uint64_t>(i) - 1) * kUnit);
    WEFT_CHECK(pool.Reserve({id, taken, kExtentUnit}).ok());
  }
}

void AllocateAndFree(benchmark::State& state, Allocator& pool, const AllocationRequest& request) {
  for (auto _ : state) {
    const auto result = pool.Allocate(request);
    WEFT_CHECK(result.ok(), result.status().ToString());
    for (const Extent& extent : result->extents) pool.Free(extent);
  }
  state.SetItemsProcessed(state.iterations());
}

// One segment of 64 MiB in a pool of one device with nothing in it.
void BM_EmptyPool(benchmark::State& state) {
  Allocator pool;
  pool.AddDevice(Device(1), ByteCount(static_cast<uint64_t>(state.range(0)) << 30));
  AllocationRequest request;
  request.size = ByteCount(64 * kMiB.value());
  AllocateAndFree(state, pool, request);
}
BENCHMARK(BM_EmptyPool)->ArgName("GiB")->Arg(1)->Arg(1 << 20);

// The same, with the device's free space cut in pieces of one unit and a large rest.
void BM_FragmentedPool(benchmark::State& state) {
  Allocator pool;
  pool.AddDevice(Device(1), ByteCount(static_cast<uint64_t>(state.range(1)) << 30));
  Fragment(pool, Device(1), state.range(0));
  AllocationRequest request;
  request.size = ByteCount(64 * kMiB.value());
  AllocateAndFree(state, pool, request);
}
BENCHMARK(BM_FragmentedPool)
    ->ArgNames({"extents", "GiB"})
    ->ArgsProduct({{1'000, 100'000}, {1 << 10, 1 << 20}});

// A segment that has to be put together from 64 extents.
void BM_SegmentOf64Extents(benchmark::State& state) {
  Allocator pool;
  const uint64_t units = 2 * static_cast<uint64_t>(state.range(0)) - 1;
  pool.AddDevice(Device(1), ByteCount(units * kUnit));
  Fragment(pool, Device(1), state.range(0));
  AllocationRequest request;
  request.size = ByteCount(64 * kUnit);
  AllocateAndFree(state, pool, request);
}
BENCHMARK(BM_SegmentOf64Extents)->ArgName("extents")->Arg(1'000)->Arg(100'000);

// Each policy on a pool of 16 devices of 1 TiB with 1,000 free extents each.
void BM_Placement(benchmark::State& state) {
  Allocator pool;
  AllocationRequest request;
  for (uint8_t number = 1; number <= 16; ++number) {
    pool.AddDevice(Device(number), ByteCount(uint64_t{1} << 40));
    Fragment(pool, Device(number), 1'000);
    request.distances[Device(number)] = number % 4;
  }
  request.placement = static_cast<v1::Placement>(state.range(0));
  if (request.placement == v1::STRIPED) request.stripe = {4, kExtentUnit};
  request.size = ByteCount(64 * kMiB.value());
  state.SetLabel(v1::Placement_Name(request.placement));
  AllocateAndFree(state, pool, request);
}
BENCHMARK(BM_Placement)->DenseRange(v1::PACK, v1::LOCAL);

}  // namespace
}  // namespace weft
