// The model that allocator_property_test.cc compares Allocator with: one flag per 2 MiB, and
// every question answered by looking at all of them.

#ifndef WEFT_SERVER_CORE_ALLOCATOR_MODEL_H_
#define WEFT_SERVER_CORE_ALLOCATOR_MODEL_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <optional>
#include <vector>

#include "server/core/types.h"

namespace weft {

inline constexpr uint64_t kUnit = kExtentUnit.value();
inline constexpr size_t kHuge = kHugeUnit.value() / kUnit;  // in units, as all lengths below

inline DeviceId IdOf(size_t device) {
  std::array<uint8_t, 16> bytes{};
  bytes[15] = static_cast<uint8_t>(device + 1);
  return DeviceId(bytes);
}

struct Slice {
  size_t device;
  size_t first;
  size_t length;

  size_t end() const { return first + length; }
};
using Slices = std::vector<Slice>;

inline Extent ToExtent(const Slice& slice) {
  return {IdOf(slice.device), ByteOffset(slice.first * kUnit), ByteCount(slice.length * kUnit)};
}

inline Slice ToSlice(const Extent& extent) {
  return {extent.device.bytes()[15] - size_t{1}, extent.offset.value() / kUnit,
          extent.length.value() / kUnit};
}

// One flag per unit, true if free.
class Model {
 public:
  explicit Model(const std::vector<size_t>& capacities) : allocatable(capacities.size(), true) {
    for (const size_t capacity : capacities) free_.emplace_back(capacity, 1);
  }

  size_t devices() const { return free_.size(); }
  size_t capacity(size_t device) const { return free_[device].size(); }

  bool IsFree(const Slice& slice) const {
    const auto begin = free_[slice.device].begin();
    return slice.end() <= capacity(slice.device) &&
           std::all_of(begin + slice.first, begin + slice.end(), [](char free) { return free; });
  }

  void Set(const Slice& slice, bool free) {
    std::fill_n(free_[slice.device].begin() + slice.first, slice.length, free);
  }

  Slices FreeSlices(size_t device) const {
    Slices slices;
    const std::vector<char>& free = free_[device];
    for (auto it = free.begin(); (it = std::find(it, free.end(), 1)) != free.end();) {
      const auto end = std::find(it, free.end(), 0);
      slices.push_back(
          {device, static_cast<size_t>(it - free.begin()), static_cast<size_t>(end - it)});
      it = end;
    }
    return slices;
  }

  Slices AllocatableSlices() const {
    Slices all;
    for (size_t device = 0; device < devices(); ++device) {
      if (!allocatable[device]) continue;
      for (const Slice& slice : FreeSlices(device)) all.push_back(slice);
    }
    return all;
  }

  std::vector<bool> allocatable;

 private:
  std::vector<std::vector<char>> free_;
};

inline size_t TotalOf(const Slices& slices) {
  return std::accumulate(slices.begin(), slices.end(), size_t{0},
                         [](size_t sum, const Slice& slice) { return sum + slice.length; });
}

// The fewest pieces, with no regard to alignment. REQUIRES: the slices hold `size`.
inline size_t FewestPieces(const Slices& slices, size_t size) {
  std::vector<size_t> lengths;
  for (const Slice& slice : slices) lengths.push_back(slice.length);
  std::sort(lengths.begin(), lengths.end(), std::greater<>());
  size_t count = 0;
  for (size_t held = 0; held < size; ++count) held += lengths[count];
  return count;
}

// The fewest pieces of which those of kHuge or more are aligned, found by trying all sets of
// slices to take the whole huge units from. Nothing if what is left of less than kHuge has to
// be cut, or there are too few huge units. REQUIRES: size >= kHuge.
inline std::optional<size_t> FewestAlignedPieces(const Slices& slices, size_t size) {
  struct Candidate {
    size_t units;   // whole huge units
    size_t behind;  // free behind them
    size_t before;
  };
  std::vector<Candidate> candidates;
  size_t longest_other = 0;  // among the slices without a whole aligned huge unit
  for (const Slice& slice : slices) {
    const size_t start = (slice.first + kHuge - 1) / kHuge * kHuge;
    if (start + kHuge > slice.end()) {
      longest_other = std::max(longest_other, slice.length);
    } else {
      candidates.push_back(
          {(slice.end() - start) / kHuge, (slice.end() - start) % kHuge, start - slice.first});
    }
  }
  const size_t wanted = size / kHuge;
  const size_t rest = size % kHuge;
  std::optional<size_t> fewest;
  for (uint32_t set = 1; set < uint32_t{1} << candidates.size(); ++set) {
    size_t units = 0, count = 0, behind = 0, elsewhere = longest_other;
    for (size_t i = 0; i < candidates.size(); ++i) {
      elsewhere = std::max({elsewhere, candidates[i].before, candidates[i].behind});
      if (!(set >> i & 1)) {
        elsewhere = kHuge;
        continue;
      }
      ++count;
      units += candidates[i].units;
      behind = std::max(behind, candidates[i].behind);
    }
    if (units < wanted) continue;
    if (units == wanted && behind < rest) {
      if (elsewhere < rest) continue;
      ++count;
    }
    if (!fewest || count < *fewest) fewest = count;
  }
  return fewest;
}

}  // namespace weft

#endif  // WEFT_SERVER_CORE_ALLOCATOR_MODEL_H_
