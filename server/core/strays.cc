#include "server/core/strays.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/core/backlog.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/core/events.h"
#include "server/core/grants.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/names.h"
#include "server/core/quarantine.h"
#include "server/core/recovery.h"
#include "server/core/scrubs.h"

namespace weft {
namespace {

using RangesByDevice = absl::btree_map<DeviceId, ByteRanges>;

absl::Status Recovering(const std::string& host, const v1::HeldGrant& held,
                        const std::string& why) {
  return MakeError(
      absl::StatusCode::kUnavailable, v1::RECOVERING,
      absl::StrCat(host, " holds segment ", held.segment_id(), ", which the backup does not know, ",
                   why, ": end the programs that map it, or fence the host"));
}

RangesByDevice RangesOf(const google::protobuf::RepeatedPtrField<v1::Run>& runs) {
  RangesByDevice ranges;
  for (const v1::Run& run : runs) {
    for (const v1::Extent& extent : run.extents()) {
      ranges[*ParseDeviceName(extent.device())].push_back(
          {ByteOffset(extent.offset_bytes()), ByteCount(extent.length_bytes())});
    }
  }
  for (auto& [device, of_device] : ranges) of_device = Joined(std::move(of_device));
  return ranges;
}

bool IsSane(const v1::Extent& extent) {
  return ParseDeviceName(extent.device()).ok() && extent.length_bytes() > 0 &&
         IsMultipleOf(extent.offset_bytes(), kExtentUnit) &&
         IsMultipleOf(extent.length_bytes(), kExtentUnit) &&
         extent.offset_bytes() < kMaxBytes.value() && extent.length_bytes() < kMaxBytes.value();
}

bool IsDescribed(const CoreOptions& options, const v1::HeldGrant& held) {
  uint32_t extents = 0;
  for (const v1::Run& run : held.runs()) {
    extents += static_cast<uint32_t>(run.extents_size());
    if (!std::all_of(run.extents().begin(), run.extents().end(), IsSane)) return false;
  }
  return extents > 0 && extents <= options.max_segment_extents;
}

bool IsInPool(const DeviceState& device) { return !device.record.device().pool().empty(); }

// Whether a stray may have `ranges` of a device: nobody has them, or other strays.
bool AreUnowned(const State& state, const DeviceId& id, const DeviceState& device,
                const ByteRanges& ranges) {
  const Allocator& allocator = state.pools.at(PoolIdOf(device))->allocator;
  const std::vector<Extent> rest =
      ToExtents(id, Difference(Difference(ranges, device.strayed), device.quarantined));
  return std::all_of(rest.begin(), rest.end(),
                     [&](const Extent& extent) { return allocator.IsFree(extent); });
}

// Takes `ranges`, as far as other strays do not have them, out of the free bytes and the
// quarantine.
void Reserve(State& state, const DeviceId& id, const ByteRanges& ranges) {
  DeviceState& device = state.devices.at(id);
  const ByteRanges added = Difference(ranges, device.strayed);
  const ByteRanges was_free = Difference(added, device.quarantined);
  device.quarantined = Difference(device.quarantined, added);
  device.strayed = Union(device.strayed, added);
  for (const Extent& extent : ToExtents(id, was_free)) {
    const absl::Status reserved = PoolOfDevice(state, device).allocator.Reserve(extent);
    WEFT_CHECK(reserved.ok(), reserved.ToString());
  }
}

void ReserveAll(State& state, const GrantKey& key, const store::v1::StrayRecord& record) {
  for (const auto& [id, ranges] : RangesOf(record.runs())) {
    state.strays_on[id][key] = ranges;
    const auto device = state.devices.find(id);
    if (device != state.devices.end() && IsInPool(device->second)) Reserve(state, id, ranges);
  }
}

// Gives up what no stray has any more of `ranges` of the device.
void GiveUp(State& state, const Context& context, const DeviceId& id, const ByteRanges& ranges,
            Changes& changes) {
  DeviceState& device = state.devices.at(id);
  ByteRanges gone = Intersection(ranges, device.strayed);
  if (const auto others = state.strays_on.find(id); others != state.strays_on.end()) {
    for (const auto& [key, theirs] : others->second) gone = Difference(gone, theirs);
  }
  if (gone.empty()) return;
  device.strayed = Difference(device.strayed, gone);
  const v1::Device& record = device.record.device();
  if (record.state() != v1::DEVICE_LOST && !record.recovering()) {
    StartScrub(state, context, id, ToExtents(id, gone), changes);
    return;
  }
  // Nobody gets bytes of it, or not before all that are free were zeroed.
  const std::vector<Extent> extents = ToExtents(id, gone);
  const bool lost = record.state() == v1::DEVICE_LOST;
  for (const Extent& extent : lost ? extents : KeepBad(device, extents)) {
    PoolOfDevice(state, device).allocator.Free(extent);
  }
}

v1::Assignment ToAssignment(const store::v1::StrayRecord& record) {
  v1::Assignment assignment;
  assignment.set_key(GrantAssignmentKey(SegmentId(record.grant().segment_id())));
  v1::GrantAssignment& grant = *assignment.mutable_grant();
  *grant.mutable_grant() = record.grant();
  *grant.mutable_runs() = record.runs();
  grant.set_size_bytes(record.size_bytes());
  grant.set_generation(record.generation());
  grant.set_coherence(record.coherence());
  return assignment;
}

store::v1::StrayRecord ToRecord(const Context& context, const std::string& host,
                                const v1::HeldGrant& held) {
  store::v1::StrayRecord record;
  v1::Grant& grant = *record.mutable_grant();
  const bool has_name = ParseSegmentName(held.segment()).ok();
  grant.set_segment(has_name
                        ? held.segment()
                        : FormatSegmentName({"lost", absl::StrCat("segment-", held.segment_id())}));
  grant.set_name(absl::StrCat(grant.segment(), "/grants/", host));
  grant.set_segment_id(held.segment_id());
  grant.set_host(FormatHostName(host));
  grant.set_mode(ModeOf(held));
  *grant.mutable_token() = held.token();
  grant.set_state(v1::GRANT_ACTIVE);
  grant.set_create_time_unix_ms(context.now.unix_ms);
  *record.mutable_runs() = held.runs();
  record.set_size_bytes(held.size_bytes());
  record.set_generation(held.generation());
  record.set_coherence(held.coherence());
  return record;
}

void DropStray(State& state, const Context& context, const GrantKey& key, Changes& changes) {
  const store::v1::StrayRecord record = state.strays.at(key);
  state.strays.erase(key);
  state.leaving_strays.erase(key);
  state.hosts.at(key.second).strays.erase(key.first);
  changes.Delete(keys::Stray(key.first, key.second));
  UnassignGrant(key.second, key.first, changes);
  Emit(state, context, v1::STRAY_RELEASED, record.grant().segment(), record.grant().host(),
       absl::StrCat("segment ", key.first.value()), changes);
  for (const auto& [id, ranges] : RangesOf(record.runs())) {
    const auto here = state.strays_on.find(id);
    here->second.erase(key);
    if (here->second.empty()) state.strays_on.erase(here);
    const auto device = state.devices.find(id);
    if (device != state.devices.end() && IsInPool(device->second)) {
      GiveUp(state, context, id, ranges, changes);
    }
  }
}

}  // namespace

bool IsStray(const State& state, SegmentId segment) {
  if (state.segment_by_id.contains(segment)) return false;
  const auto& lost = state.cluster.lost_segment_ids();
  return segment.value() > state.cluster.last_segment_id() ||
         std::any_of(lost.begin(), lost.end(), [&](const store::v1::IdRange& range) {
           return range.first() <= segment.value() && segment.value() <= range.last();
         });
}

absl::Status CheckStray(const State& state, const std::string& host, const v1::HeldGrant& held) {
  if (!IsDescribed(state.options, held)) {
    return Recovering(host, held, "and does not say where it is");
  }
  for (const auto& [id, ranges] : RangesOf(held.runs())) {
    const auto device = state.devices.find(id);
    if (device == state.devices.end() || !IsInPool(device->second)) continue;
    if (AreUnowned(state, id, device->second, ranges)) continue;
    return Recovering(
        host, held,
        absl::StrCat("on bytes of ", FormatDeviceName(id), " that have another owner by now"));
  }
  return absl::OkStatus();
}

void TakeStray(State& state, const Context& context, const std::string& host,
               const v1::HeldGrant& held, Changes& changes) {
  const SegmentId id(held.segment_id());
  const GrantKey key(id, host);
  const bool is_leaving = state.leaving_strays.erase(key) > 0;
  const auto [it, is_new] = state.strays.try_emplace(key);
  if (is_new) {
    it->second = ToRecord(context, host, held);
    state.hosts.at(host).strays.insert(id);
    ReserveAll(state, key, it->second);
    changes.Put(keys::Stray(id, host), it->second);
    Emit(state, context, v1::STRAY_FOUND, it->second.grant().segment(), it->second.grant().host(),
         absl::StrCat("segment ", id.value(), ", ", held.size_bytes(), " bytes"), changes);
  }
  if (is_new || is_leaving) changes.Assign(host, ToAssignment(it->second));
}

void StartDroppingStrays(State& state, const std::string& host,
                         const absl::btree_set<SegmentId>& segments, Changes& changes) {
  for (const SegmentId segment : segments) {
    if (!state.leaving_strays.emplace(segment, host).second) continue;
    UnassignGrant(host, segment, changes);
  }
}

void DropStraysNotHeld(State& state, const v1::Register& request, Changes& changes) {
  absl::btree_set<SegmentId> let_go = state.hosts.at(request.host_id()).strays;
  if (let_go.empty()) return;
  for (const v1::HeldGrant& held : request.held()) let_go.erase(SegmentId(held.segment_id()));
  StartDroppingStrays(state, request.host_id(), let_go, changes);
}

bool WorkOffStrays(State& state, const Context& context, Changes& changes) {
  while (!state.leaving_strays.empty() && !IsFull(changes)) {
    DropStray(state, context, GrantKey(*state.leaving_strays.begin()), changes);
  }
  return !state.leaving_strays.empty();
}

void ReleaseStray(State& state, const Context& context, SegmentId segment, const std::string& host,
                  const Token& token, Changes& changes) {
  const auto it = state.strays.find({segment, host});
  if (it == state.strays.end() || token < FromProto(it->second.grant().token())) return;
  DropStray(state, context, {segment, host}, changes);
}

absl::Status RevokeStray(State& state, const Context& context, SegmentId segment,
                         const std::string& host, Changes& changes) {
  const auto it = state.strays.find({segment, host});
  if (it == state.strays.end()) {
    return MakeError(absl::StatusCode::kNotFound, v1::SEGMENT_NOT_FOUND,
                     absl::StrCat(host, " has no stray segment ", segment.value(),
                                  "; `weft fsck` shows those there are"));
  }
  v1::Grant& grant = *it->second.mutable_grant();
  if (grant.state() == v1::GRANT_REVOKING) return absl::OkStatus();
  grant.set_state(v1::GRANT_REVOKING);
  changes.Put(keys::Stray(segment, host), it->second);
  if (!state.leaving_strays.contains({segment, host})) {
    changes.Assign(host, ToAssignment(it->second));
  }
  Emit(state, context, v1::GRANT_REVOKE_STARTED, grant.segment(), grant.host(),
       absl::StrCat("stray segment ", segment.value()), changes);
  return absl::OkStatus();
}

absl::Status CheckNoStrays(const State& state, const DeviceId& device) {
  const auto strays = state.strays_on.find(device);
  if (strays == state.strays_on.end()) return absl::OkStatus();
  const auto& [segment, host] = strays->second.begin()->first;
  return MakeError(
      absl::StatusCode::kFailedPrecondition, v1::IN_USE,
      absl::StrCat(FormatDeviceName(device), " has bytes of stray segment ", segment.value(),
                   ", which ", host, " holds: `weft fsck --repair` takes it back"));
}

void AppendStrayAssignments(const State& state, const std::string& host,
                            v1::Assignments& assignments) {
  for (const SegmentId segment : state.hosts.at(host).strays) {
    if (state.leaving_strays.contains({segment, host})) continue;
    *assignments.add_upserts() = ToAssignment(state.strays.at({segment, host}));
  }
}

absl::Status IndexStrays(State& state) {
  for (const auto& [key, record] : state.strays) {
    const auto host = state.hosts.find(key.second);
    bool sound = host != state.hosts.end();
    for (const auto& [id, ranges] : RangesOf(record.runs())) {
      const auto device = state.devices.find(id);
      if (device == state.devices.end() || !IsInPool(device->second)) continue;
      sound = sound && AreUnowned(state, id, device->second, ranges);
    }
    if (!sound) {
      return MakeError(absl::StatusCode::kDataLoss, v1::STORE_DAMAGED,
                       absl::StrCat("stray segment ", key.first.value(), " of ", key.second,
                                    " is of no host, or its bytes have another owner: restore "
                                    "the coordinator's store from a backup"));
    }
    host->second.strays.insert(key.first);
    ReserveAll(state, key, record);
    if (host->second.record.host().state() == v1::HOST_DOWN) state.leaving_strays.insert(key);
  }
  return absl::OkStatus();
}

}  // namespace weft
