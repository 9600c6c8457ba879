// Finding things in a State by the names that requests use.

#ifndef WEFT_SERVER_CORE_LOOKUP_H_
#define WEFT_SERVER_CORE_LOOKUP_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/core/state.h"
#include "server/core/token_proto.h"

namespace weft {

// BAD_NAME, or NOT_FOUND with the reason of the kind.
absl::StatusOr<PoolState*> FindPool(const State& state, std::string_view name);
absl::StatusOr<SegmentKey> FindSegment(const State& state, std::string_view name);
absl::StatusOr<DeviceId> FindDevice(const State& state, std::string_view name);
absl::StatusOr<std::string> FindHost(const State& state, std::string_view name);

// REQUIRES: it is there.
store::v1::SegmentRecord& SegmentById(State& state, SegmentId segment);
const store::v1::SegmentRecord& SegmentById(const State& state, SegmentId segment);
PoolState& PoolOfDevice(State& state, const DeviceState& device);

DeviceId DeviceIdOf(const DeviceState& device);

// The pool's id in a device's record. REQUIRES: it is in one.
std::string PoolIdOf(const DeviceState& device);

// Whether any host's grant of the segment is recorded, be it waiting to be dropped.
bool HasGrants(const State& state, SegmentId segment);

bool IsAlive(const State& state, const std::string& host);

v1::Extent ToProto(const Extent& extent);
// REQUIRES: it was made by ToProto.
Extent FromProto(const v1::Extent& extent);

std::vector<Extent> ToExtents(const DeviceId& device, const ByteRanges& ranges);

// All extents of a segment, in no particular order of its bytes.
std::vector<Extent> ExtentsOf(const v1::Segment& segment);
// The devices that these are of.
absl::btree_set<DeviceId> DevicesOf(const v1::Segment& segment);
// Whether memory of the extent has failed.
bool IsBad(const State& state, const Extent& extent);

// Notes that a number was taken from the cluster record.
void PutCluster(State& state, Changes& changes);
// Greater than every token before it; durable with `changes`.
Token NextToken(State& state, Changes& changes);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_LOOKUP_H_
