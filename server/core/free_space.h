// The free bytes of one device, as extents ordered by offset and by size.

#ifndef WEFT_SERVER_CORE_FREE_SPACE_H_
#define WEFT_SERVER_CORE_FREE_SPACE_H_

#include <cstddef>
#include <optional>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "server/core/types.h"

namespace weft {

// A contiguous piece of the one device at hand.
struct Range {
  ByteOffset offset;
  ByteCount length;

  constexpr ByteOffset end() const { return offset + length; }
  friend constexpr auto operator<=>(const Range&, const Range&) = default;
};

// Where the pieces that a search returns may start, in bytes from the device's start.
enum class Alignment {
  kExtent,  // any multiple of kExtentUnit
  kHuge,    // multiples of kHugeUnit
};

// A set of free ranges. Neighbours are always joined, so that equal sets of free bytes
// have one representation, whatever was done to get there. All offsets and lengths are
// multiples of kExtentUnit.
//
// With n free extents: Insert, Take, FreeFrom and the searches are O(log n), the counters
// O(1), memory O(n). Capacity plays no part. Not thread-safe.
class FreeSpace {
 public:
  // Adds `range`. REQUIRES: it is not empty and no byte of it is free already.
  void Insert(const Range& range);

  // Takes exactly `range` out if all of it is free. If not, changes nothing and returns
  // false. REQUIRES: it is not empty.
  bool Take(const Range& range);

  // How many bytes are free from `offset` on without a gap; 0 if that one is not.
  ByteCount FreeFrom(ByteOffset offset) const;

  // The piece of `size` bytes at the start of the smallest free extent that is large
  // enough from its first aligned offset on (of equals, that of the lowest offset).
  // REQUIRES, for kHuge: size is at least kHugeUnit.
  std::optional<Range> BestFit(ByteCount size, Alignment alignment) const;

  // The longest free piece that starts aligned (of equals, that of the highest offset).
  // For kHuge pieces below kHugeUnit do not count.
  std::optional<Range> Largest(Alignment alignment) const;

  // All free extents, by offset.
  const absl::btree_map<ByteOffset, ByteCount>& extents() const { return by_offset_; }
  ByteCount free_bytes() const { return free_bytes_; }
  size_t extent_count() const { return by_offset_.size(); }

 private:
  using SizeIndex = absl::btree_set<std::pair<ByteCount, ByteOffset>>;

  const SizeIndex& IndexFor(Alignment alignment) const;
  // The free extent that holds `offset`, or an empty one.
  Range Containing(ByteOffset offset) const;
  void Add(const Range& extent);
  void Remove(const Range& extent);

  absl::btree_map<ByteOffset, ByteCount> by_offset_;
  SizeIndex by_size_;
  // (length, offset) of the part of each free extent from its first multiple of kHugeUnit
  // on, where that part is as long as kHugeUnit at least.
  SizeIndex huge_by_size_;
  ByteCount free_bytes_;
};

}  // namespace weft

#endif  // WEFT_SERVER_CORE_FREE_SPACE_H_
