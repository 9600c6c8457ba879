// Which bytes of a pool's devices are free, and which of them a new segment gets.

#ifndef WEFT_SERVER_CORE_ALLOCATOR_H_
#define WEFT_SERVER_CORE_ALLOCATOR_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/weft/v1/types.pb.h"
#include "server/core/free_space.h"
#include "server/core/types.h"

namespace weft {

// How many columns a stripe may have.
inline constexpr uint32_t kMinStripeColumns = 2;
inline constexpr uint32_t kMaxStripeColumns = 64;

// The logical bytes of a striped allocation: chunk i is chunk i / columns of column
// i % columns.
struct Stripe {
  uint32_t columns = 1;
  ByteCount chunk;  // a multiple of kExtentUnit; 0 with one column

  friend constexpr bool operator==(const Stripe&, const Stripe&) = default;
};

struct AllocationRequest {
  // A multiple of kExtentUnit, not 0, less than kMaxBytes; for STRIPED a multiple of
  // stripe.columns * stripe.chunk.
  ByteCount size;
  // All policies are deterministic: the same free bytes give the same extents.
  //   PACK: the fewest extents over all devices. If one free extent is enough, the smallest
  //     such; otherwise the largest are taken whole, and the smallest that is enough for
  //     the rest.
  //   SPREAD: devices with the most free bytes first (of equals, the lowest id). All goes to
  //     the first device if it has the bytes, packed as by PACK; what it lacks goes to the
  //     next. So segments are spread, not each one cut in pieces: that is STRIPED.
  //   STRIPED: one extent ("column") on each of `stripe.columns` devices, all of one length:
  //     of the devices with a free extent that long, those with the most free bytes.
  //   LOCAL: devices in order of `distances`, the nearest first (of equals, as SPREAD); all
  //     that one can give, packed as by PACK, before anything is taken from the next.
  v1::Placement placement = v1::PACK;
  Stripe stripe;  // STRIPED only
  // LOCAL only: how far each device is, in units of the caller's choice. A device that is
  // not there is farther than all that are.
  absl::btree_map<DeviceId, uint32_t> distances;
  // The last extent of the segment that grows, or for STRIPED the last of each column, in
  // order; empty for a new segment. Free bytes that follow directly are taken first,
  // whatever the policy; of a striped segment in all columns or none.
  std::vector<Extent> grow_after;
  // Not empty: from these devices alone.
  absl::btree_set<DeviceId> only;
  // How many extents the segment may get, not counting those that directly continue
  // `grow_after`.
  uint32_t max_extents = std::numeric_limits<uint32_t>::max();
};

struct Allocation {
  // In the order of the segment's logical bytes; for STRIPED one per column. No two
  // neighbours could be joined, but the first (of a striped segment all) may directly
  // continue `grow_after`: then the caller joins them.
  std::vector<Extent> extents;
  Stripe stripe;  // as requested; for other policies one column
};

// Free bytes, and how they are cut.
struct FreeStats {
  ByteCount free;
  ByteCount largest;  // the longest free extent
  size_t extents = 0;

  friend constexpr bool operator==(const FreeStats&, const FreeStats&) = default;
};

// The free space of the devices of one pool. Keeps nothing about who holds the rest.
//
// Extents of kHugeUnit or more start at a multiple of it (and are a multiple of it long,
// except the last of the request) if the free bytes and `max_extents` allow; otherwise at
// multiples of kExtentUnit. On the devices that the policy chose this goes before best fit
// and before the fewest extents.
//
// Pure: no clock, I/O or randomness. Not thread-safe. With d devices, n free extents on
// each and k extents in the answer: Allocate is O(k d log n) (for SPREAD, LOCAL and
// STRIPED O((k + d) log n + d log d)), AddDevice and pool_stats O(d), FreeExtents
// O(log d) and what it returns, the other operations O(log d + log n). Memory is O(d + total free
// extents); capacity plays no part in either.
class Allocator {
 public:
  // Adds a device, allocatable and with all its bytes free: what is in use, the label
  // included, is to be reserved next. REQUIRES: not in the pool yet; `capacity` is a
  // multiple of kExtentUnit, not 0; the pool's capacity stays less than kMaxBytes.
  void AddDevice(const DeviceId& id, ByteCount capacity);

  // Forgets a device and whatever is in use on it: those extents must not be freed later.
  // REQUIRES: the device is in the pool.
  void RemoveDevice(const DeviceId& id);

  // A device that is not allocatable (one that is draining) gives no extents to Allocate
  // and does not count in pool_stats; Reserve and Free work. REQUIRES: it is in the pool.
  void SetAllocatable(const DeviceId& id, bool allocatable);

  // Takes the whole of `request.size` or changes nothing.
  //   INVALID_ARGUMENT BAD_SIZE: the size breaks the rules of AllocationRequest.
  //   INVALID_ARGUMENT BAD_ARGUMENT: `placement`, `stripe` or `grow_after` does.
  //   RESOURCE_EXHAUSTED POOL_FULL: fewer bytes are free on allocatable devices.
  //   RESOURCE_EXHAUSTED FRAGMENTED: enough are, but not in the pieces needed: STRIPED
  //     finds no free extent of a column's length on enough devices, or the others need
  //     more than `max_extents`.
  absl::StatusOr<Allocation> Allocate(const AllocationRequest& request);

  // Takes exactly `extent`. On any error changes nothing.
  //   INVALID_ARGUMENT BAD_ARGUMENT: empty, not in units of kExtentUnit, or past the end.
  //   NOT_FOUND DEVICE_NOT_FOUND: the device is not in the pool.
  //   FAILED_PRECONDITION IN_USE: some of it is not free.
  absl::Status Reserve(const Extent& extent);

  // Gives back `extent`, which may be any part of what was taken, or span several of them.
  // REQUIRES: a valid extent of a device of the pool, no byte of which is free.
  void Free(const Extent& extent);

  // Of all allocatable devices together.
  FreeStats pool_stats() const;
  // REQUIRES: the device is in the pool.
  FreeStats device_stats(const DeviceId& id) const;
  // The first `most`, by offset. REQUIRES: the device is in the pool.
  std::vector<Extent> FreeExtents(const DeviceId& id, size_t most) const;
  // Whether all of `extent` is free. REQUIRES: its device is in the pool; it is not empty.
  bool IsFree(const Extent& extent) const;

 private:
  struct Device {
    ByteCount capacity;
    bool allocatable = true;
    FreeSpace free;
  };

  Device& Find(const DeviceId& id);
  absl::Status CheckExtent(const Extent& extent) const;

  absl::btree_map<DeviceId, Device> devices_;
};

}  // namespace weft

#endif  // WEFT_SERVER_CORE_ALLOCATOR_H_
