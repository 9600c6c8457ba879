// Compares Allocator with a naive model over long sequences of random operations. A failure
// names the seed and the step.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/core/allocator.h"
#include "server/core/allocator_model.h"
#include "server/core/errors.h"

namespace weft {
namespace {

class AllocatorProperties : public ::testing::TestWithParam<uint64_t> {
 protected:
  // Devices of `capacities` units, `steps` operations with sizes from `random_size`.
  void RunSteps(const std::vector<size_t>& capacities, int steps,
                const std::function<size_t()>& random_size) {
    model_.emplace(capacities);
    for (size_t device = 0; device < capacities.size(); ++device) {
      allocator_.AddDevice(IdOf(device), ByteCount(capacities[device] * kUnit));
    }
    CheckStats(0);
    for (int step = 0; step < steps; ++step) {
      Step(random_size);
      CheckStats(step);
      if (HasFailure()) FAIL() << "seed " << GetParam() << ", step " << step;
    }
    EXPECT_GT(succeeded_, steps / 20);
    EXPECT_GT(full_, steps / 200);
    EXPECT_GT(fragmented_, steps / 200);
    EXPECT_GT(continued_, steps / 1000);
  }

  size_t Below(size_t bound) { return rng_() % bound; }

  // How many huge allocations took several aligned pieces.
  int aligned_in_pieces_ = 0;

 private:
  void Step(const std::function<size_t()>& random_size) {
    const size_t dice = Below(100);
    if (dice < 50) {
      CheckAllocate(random_size());
    } else if (dice < 91) {
      FreeSome();
    } else if (dice < 98) {
      CheckReserve(random_size());
    } else if (dice < 99) {
      // Else the free space would stay cut in small pieces.
      while (!live_.empty()) FreeSome();
    } else {
      const size_t device = Below(model_->devices());
      model_->allocatable[device] = Below(4) != 0;
      allocator_.SetAllocatable(IdOf(device), model_->allocatable[device]);
    }
  }

  AllocationRequest RandomRequest(size_t size) {
    AllocationRequest request;
    request.placement = static_cast<v1::Placement>(v1::PACK + Below(4));
    if (Below(2) == 0) request.max_extents = Below(6);
    if (request.placement == v1::STRIPED) {
      request.stripe.columns = kMinStripeColumns + Below(model_->devices() - 1);
      request.stripe.chunk = ByteCount((1 + Below(2)) * kUnit);
      const size_t row = request.stripe.columns * request.stripe.chunk.value() / kUnit;
      size = (size + row - 1) / row * row;
    }
    for (size_t device = 0; device < model_->devices(); ++device) {
      if (Below(4) != 0) request.distances[IdOf(device)] = Below(3);
    }
    const size_t ends = request.placement == v1::STRIPED ? request.stripe.columns : 1;
    if (live_.size() >= ends && Below(2) == 0) {
      for (size_t i = 0; i < ends; ++i) {
        request.grow_after.push_back(ToExtent(live_[Below(live_.size())]));
      }
    }
    request.size = ByteCount(size * kUnit);
    return request;
  }

  void CheckAllocate(size_t size) {
    const AllocationRequest request = RandomRequest(size);
    size = request.size.value() / kUnit;
    const auto result = allocator_.Allocate(request);
    if (TotalOf(model_->AllocatableSlices()) < size) {
      EXPECT_EQ(ReasonOf(result.status()), v1::POOL_FULL) << result.status();
      ++full_;
      return;
    }
    Slices extents;
    if (result.ok()) {
      for (const Extent& extent : result->extents) extents.push_back(ToSlice(extent));
      EXPECT_EQ(TotalOf(extents), size);
    } else {
      EXPECT_EQ(ReasonOf(result.status()), v1::FRAGMENTED) << result.status();
    }
    const Slices continued = TakeContinuation(request, size);
    for (size_t i = 0; i < continued.size(); ++i) {
      if (!result.ok()) break;
      ASSERT_LT(i, extents.size());
      EXPECT_EQ(ToExtent(extents[i]), ToExtent(continued[i]));
    }
    const size_t left = size - TotalOf(continued);
    const Slices placed(extents.begin() + std::min(continued.size(), extents.size()),
                        extents.end());
    EXPECT_EQ(result.ok(), left == 0 || CanPlace(request, left));
    if (result.ok()) {
      continued_ += !continued.empty();
      ++succeeded_;
      EXPECT_LE(placed.size(), request.max_extents);
      if (left > 0) CheckPlaced(request, placed, left);
      for (const Slice& slice : placed) TakeFree(slice);
      CheckNoneJoins(placed);
      live_.insert(live_.end(), extents.begin(), extents.end());
    } else {
      ++fragmented_;
      for (const Slice& slice : continued) model_->Set(slice, true);
    }
  }

  void TakeFree(const Slice& slice) {
    ASSERT_LT(slice.device, model_->devices());
    EXPECT_TRUE(model_->allocatable[slice.device]);
    EXPECT_TRUE(model_->IsFree(slice)) << ToExtent(slice);
    model_->Set(slice, false);
  }

  static void CheckNoneJoins(const Slices& slices) {
    for (size_t i = 1; i < slices.size(); ++i) {
      EXPECT_FALSE(slices[i - 1].device == slices[i].device &&
                   slices[i - 1].end() == slices[i].first);
    }
  }

  // Marks what directly continues the segment as taken and returns it.
  Slices TakeContinuation(const AllocationRequest& request, size_t size) {
    Slices taken;
    const size_t columns = request.placement == v1::STRIPED ? request.stripe.columns : 1;
    for (const Extent& end : request.grow_after) {
      const Slice last = ToSlice(end);
      Slice next{last.device, last.end(), 0};
      while (model_->allocatable[next.device] && next.length < size / columns &&
             model_->IsFree({next.device, next.end(), 1})) {
        ++next.length;
      }
      if (request.placement == v1::STRIPED && next.length < size / columns) {
        for (const Slice& slice : taken) model_->Set(slice, true);
        return {};
      }
      if (next.length == 0) continue;
      model_->Set(next, false);
      taken.push_back(next);
    }
    return taken;
  }

  // Allocatable devices in the order in which the policy of `request` takes them.
  std::vector<size_t> OrderOf(const AllocationRequest& request) const {
    std::vector<std::tuple<uint64_t, size_t, size_t>> order;
    for (size_t device = 0; device < model_->devices(); ++device) {
      if (!model_->allocatable[device]) continue;
      uint64_t distance = 0;
      if (request.placement == v1::LOCAL) {
        const auto it = request.distances.find(IdOf(device));
        distance = it == request.distances.end() ? 1000 : it->second;
      }
      // The order of before anything was taken: a continuation comes out of it.
      order.emplace_back(distance, SIZE_MAX - free_before_[device], device);
    }
    std::sort(order.begin(), order.end());
    std::vector<size_t> devices;
    for (const auto& entry : order) devices.push_back(std::get<2>(entry));
    return devices;
  }

  // How much each device gives under SPREAD and LOCAL, in order.
  std::vector<std::pair<size_t, size_t>> SharesOf(const AllocationRequest& request,
                                                  size_t size) const {
    std::vector<std::pair<size_t, size_t>> shares;
    for (const size_t device : OrderOf(request)) {
      const size_t share = std::min(size, TotalOf(model_->FreeSlices(device)));
      if (share > 0) shares.emplace_back(device, share);
      size -= share;
    }
    return shares;
  }

  // The devices that give a column each, if there are enough.
  std::vector<size_t> ColumnsOf(const AllocationRequest& request, size_t size) const {
    std::vector<size_t> devices;
    for (const size_t device : OrderOf(request)) {
      const Slices slices = model_->FreeSlices(device);
      const bool fits = std::any_of(slices.begin(), slices.end(), [&](const Slice& slice) {
        return slice.length >= size / request.stripe.columns;
      });
      if (fits && devices.size() < request.stripe.columns) devices.push_back(device);
    }
    return devices;
  }

  bool CanPlace(const AllocationRequest& request, size_t size) const {
    if (request.placement == v1::PACK) {
      return FewestPieces(model_->AllocatableSlices(), size) <= request.max_extents;
    }
    if (request.placement == v1::STRIPED) {
      return request.stripe.columns <= request.max_extents &&
             ColumnsOf(request, size).size() == request.stripe.columns;
    }
    size_t pieces = 0;
    for (const auto& [device, share] : SharesOf(request, size)) {
      pieces += FewestPieces(model_->FreeSlices(device), share);
    }
    return pieces <= request.max_extents;
  }

  void CheckPlaced(const AllocationRequest& request, const Slices& placed, size_t size) {
    if (request.placement == v1::PACK) {
      CheckPacked(model_->AllocatableSlices(), placed, size, request.max_extents);
    } else if (request.placement == v1::STRIPED) {
      const std::vector<size_t> devices = ColumnsOf(request, size);
      ASSERT_EQ(placed.size(), devices.size());
      for (size_t i = 0; i < devices.size(); ++i) {
        EXPECT_EQ(placed[i].device, devices[i]);
        CheckPacked(model_->FreeSlices(devices[i]), {placed[i]}, size / devices.size(), 1);
      }
    } else {
      CheckShares(SharesOf(request, size), placed, request.max_extents);
    }
  }

  void CheckShares(const std::vector<std::pair<size_t, size_t>>& shares, const Slices& placed,
                   size_t max_pieces) {
    if (shares.size() == 1) {
      CheckPacked(model_->FreeSlices(shares[0].first), placed, shares[0].second, max_pieces);
      return;
    }
    auto next = placed.begin();
    for (const auto& [device, share] : shares) {
      const auto end = std::find_if(next, placed.end(), [device = device](const Slice& slice) {
        return slice.device != device;
      });
      const Slices part(next, end);
      ASSERT_EQ(TotalOf(part), share);
      // Alignment may cost pieces, if there are enough of them for all devices.
      const size_t fewest = FewestPieces(model_->FreeSlices(device), share);
      EXPECT_TRUE(part.size() == fewest || (share >= kHuge && part.size() > fewest));
      next = end;
    }
    EXPECT_EQ(next, placed.end());
  }

  // `placed` is the best choice of `size` units out of `slices`.
  void CheckPacked(const Slices& slices, const Slices& placed, size_t size, size_t max_pieces) {
    ASSERT_EQ(TotalOf(placed), size);
    const size_t fewest = FewestPieces(slices, size);
    const auto aligned = size < kHuge ? std::nullopt : FewestAlignedPieces(slices, size);
    if (aligned && *aligned <= max_pieces) {
      aligned_in_pieces_ += *aligned > 1;
      EXPECT_EQ(placed.size(), *aligned);
      for (size_t i = 0; i < placed.size(); ++i) {
        if (placed[i].length < kHuge) continue;
        EXPECT_EQ(placed[i].first % kHuge, 0u);
        EXPECT_TRUE(i + 1 == placed.size() || placed[i].length % kHuge == 0);
      }
    } else if (size < kHuge) {
      EXPECT_EQ(placed.size(), fewest);
      if (fewest == 1) CheckBestFit(slices, placed[0]);
    } else {
      EXPECT_GE(placed.size(), fewest);
    }
  }

  // No slice that is long enough is shorter than the one that `piece` is the start of.
  static void CheckBestFit(const Slices& slices, const Slice& piece) {
    size_t shortest = SIZE_MAX, chosen = 0;
    for (const Slice& slice : slices) {
      if (slice.length >= piece.length) shortest = std::min(shortest, slice.length);
      if (slice.device == piece.device && slice.first == piece.first) chosen = slice.length;
    }
    EXPECT_EQ(chosen, shortest);
  }

  void CheckReserve(size_t size) {
    const size_t device = Below(model_->devices());
    const size_t capacity = model_->capacity(device);
    const Slice slice{device, Below(capacity), 1 + Below(std::min(size, capacity))};
    const absl::Status status = allocator_.Reserve(ToExtent(slice));
    if (slice.end() > capacity) {
      EXPECT_EQ(ReasonOf(status), v1::BAD_ARGUMENT) << status;
    } else if (!model_->IsFree(slice)) {
      EXPECT_EQ(ReasonOf(status), v1::IN_USE) << status;
    } else {
      EXPECT_TRUE(status.ok()) << status;
      model_->Set(slice, false);
      live_.push_back(slice);
    }
  }

  // Frees one live extent, or a part of it.
  void FreeSome() {
    if (live_.empty()) return;
    std::swap(live_[Below(live_.size())], live_.back());
    const Slice whole = live_.back();
    live_.pop_back();
    Slice part = whole;
    if (Below(3) == 0) {
      part.first += Below(whole.length);
      part.length = 1 + Below(whole.end() - part.first);
    }
    if (part.first > whole.first) {
      live_.push_back({whole.device, whole.first, part.first - whole.first});
    }
    if (part.end() < whole.end()) {
      live_.push_back({whole.device, part.end(), whole.end() - part.end()});
    }
    allocator_.Free(ToExtent(part));
    model_->Set(part, true);
  }

  // The counters of the pool and, in turn, of one device agree with the model, and free and
  // used bytes make up the capacity.
  void CheckStats(size_t step) {
    FreeStats pool;
    free_before_.assign(model_->devices(), 0);
    std::vector<size_t> used(model_->devices());
    for (const Slice& slice : live_) used[slice.device] += slice.length;
    for (size_t device = 0; device < model_->devices(); ++device) {
      const Slices slices = model_->FreeSlices(device);
      FreeStats stats;
      for (const Slice& slice : slices) {
        stats.free += ByteCount(slice.length * kUnit);
        stats.largest = std::max(stats.largest, ByteCount(slice.length * kUnit));
      }
      stats.extents = slices.size();
      if (device == step % model_->devices()) {
        EXPECT_EQ(allocator_.device_stats(IdOf(device)), stats);
      }
      free_before_[device] = TotalOf(slices);
      EXPECT_EQ(free_before_[device] + used[device], model_->capacity(device));
      if (!model_->allocatable[device]) continue;
      pool.free += stats.free;
      pool.largest = std::max(pool.largest, stats.largest);
      pool.extents += stats.extents;
    }
    EXPECT_EQ(allocator_.pool_stats(), pool);
  }

  std::mt19937_64 rng_{GetParam()};
  Allocator allocator_;
  std::optional<Model> model_;
  Slices live_;
  std::vector<size_t> free_before_;
  int succeeded_ = 0, full_ = 0, fragmented_ = 0, continued_ = 0;
};

TEST_P(AllocatorProperties, HoldForSmallSegments) {
  RunSteps({40, 64, 24, 33}, 500'000, [this] { return 1 + Below(Below(4) == 0 ? 60 : 12); });
}

// Sizes around whole huge units, on devices that hold few of them.
TEST_P(AllocatorProperties, HoldForHugeSegments) {
  RunSteps({3 * kHuge + 100, 2 * kHuge, 2 * kHuge + 300, kHuge + 7, kHuge + 450}, 25'000,
           [this]() -> size_t {
             switch (Below(4)) {
               case 0:
                 return 1 + Below(kHuge);
               case 1:
                 return kHuge * (1 + Below(6));
               case 2:
                 return kHuge + Below(6 * kHuge);
               default:
                 return 1 + Below(40);
             }
           });
  EXPECT_GT(aligned_in_pieces_, 50);
}

INSTANTIATE_TEST_SUITE_P(Seeds, AllocatorProperties, ::testing::Range<uint64_t>(1, 5));

}  // namespace
}  // namespace weft
