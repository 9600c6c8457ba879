#include "server/core/lookup.h"

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/core/keys.h"
#include "server/core/names.h"
#include "server/core/ranges.h"

namespace weft {
namespace {

absl::Status NotFound(v1::Reason reason, const std::string& what, const std::string& list) {
  return MakeError(
      absl::StatusCode::kNotFound, reason,
      absl::StrCat("there is no ", what, "; `weft ", list, " list` shows those there are"));
}

}  // namespace

absl::StatusOr<PoolState*> FindPool(const State& state, std::string_view name) {
  absl::StatusOr<std::string> id = ParsePoolName(name);
  if (!id.ok()) return id.status();
  auto it = state.pools.find(*id);
  if (it == state.pools.end()) {
    return NotFound(v1::POOL_NOT_FOUND, absl::StrCat("pool \"", *id, "\""), "pool");
  }
  return it->second.get();
}

absl::StatusOr<SegmentKey> FindSegment(const State& state, std::string_view name) {
  absl::StatusOr<SegmentName> parsed = ParseSegmentName(name);
  if (!parsed.ok()) return parsed.status();
  SegmentKey key(parsed->pool, parsed->segment);
  if (!state.segments.contains(key)) {
    return NotFound(v1::SEGMENT_NOT_FOUND,
                    absl::StrCat("segment \"", key.first, "/", key.second, "\""), "segment");
  }
  return key;
}

absl::StatusOr<DeviceId> FindDevice(const State& state, std::string_view name) {
  absl::StatusOr<DeviceId> id = ParseDeviceName(name);
  if (!id.ok()) return id.status();
  if (!state.devices.contains(*id)) {
    return NotFound(v1::DEVICE_NOT_FOUND, absl::StrCat("device ", id->ToString()), "device");
  }
  return *id;
}

absl::StatusOr<std::string> FindHost(const State& state, std::string_view name) {
  absl::StatusOr<std::string> id = ParseHostName(name);
  if (!id.ok()) return id.status();
  if (!state.hosts.contains(*id)) {
    return NotFound(v1::HOST_NOT_FOUND, absl::StrCat("host \"", *id, "\""), "host");
  }
  return *id;
}

store::v1::SegmentRecord& SegmentById(State& state, SegmentId segment) {
  return state.segments.at(state.segment_by_id.at(segment));
}

const store::v1::SegmentRecord& SegmentById(const State& state, SegmentId segment) {
  return state.segments.at(state.segment_by_id.at(segment));
}

DeviceId DeviceIdOf(const DeviceState& device) {
  return *ParseDeviceName(device.record.device().name());
}

std::string PoolIdOf(const DeviceState& device) {
  absl::StatusOr<std::string> id = ParsePoolName(device.record.device().pool());
  WEFT_CHECK(id.ok(), device.record.device().name(), " is in no pool");
  return *std::move(id);
}

PoolState& PoolOfDevice(State& state, const DeviceState& device) {
  return *state.pools.at(PoolIdOf(device));
}

bool HasGrants(const State& state, SegmentId segment) {
  const auto first = state.grants.lower_bound({segment, ""});
  return first != state.grants.end() && first->first.first == segment;
}

bool IsAlive(const State& state, const std::string& host) {
  auto it = state.hosts.find(host);
  return it != state.hosts.end() && it->second.session.has_value();
}

v1::Extent ToProto(const Extent& extent) {
  v1::Extent proto;
  proto.set_device(FormatDeviceName(extent.device));
  proto.set_offset_bytes(extent.offset.value());
  proto.set_length_bytes(extent.length.value());
  return proto;
}

Extent FromProto(const v1::Extent& extent) {
  absl::StatusOr<DeviceId> device = ParseDeviceName(extent.device());
  WEFT_CHECK(device.ok(), extent.device());
  return {*device, ByteOffset(extent.offset_bytes()), ByteCount(extent.length_bytes())};
}

std::vector<Extent> ToExtents(const DeviceId& device, const ByteRanges& ranges) {
  std::vector<Extent> extents;
  for (const ByteRange& range : ranges) extents.push_back({device, range.offset, range.length});
  return extents;
}

std::vector<Extent> ExtentsOf(const v1::Segment& segment) {
  std::vector<Extent> extents;
  for (const v1::Run& run : segment.runs()) {
    for (const v1::Extent& extent : run.extents()) extents.push_back(FromProto(extent));
  }
  return extents;
}

absl::btree_set<DeviceId> DevicesOf(const v1::Segment& segment) {
  absl::btree_set<DeviceId> devices;
  for (const Extent& extent : ExtentsOf(segment)) devices.insert(extent.device);
  return devices;
}

bool IsBad(const State& state, const Extent& extent) {
  return !Intersection(state.devices.at(extent.device).bad, {{extent.offset, extent.length}})
              .empty();
}

void PutCluster(State& state, Changes& changes) { changes.Put(keys::kCluster, state.cluster); }

Token NextToken(State& state, Changes& changes) {
  const uint64_t counter = state.cluster.last_token_counter() + 1;
  state.cluster.set_last_token_counter(counter);
  PutCluster(state, changes);
  return {state.cluster.epoch(), counter};
}

}  // namespace weft
