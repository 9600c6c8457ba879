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
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/names.h"
#include "server/core/quarantine.h"
#include "server/core/recovery.h"
#include "server/core/scrubs.h"

namespace weft {
namespace {

// More than a host gets between two backups under names that are all lost, in practice; each is
// a record and bytes that nobody has.
constexpr size_t kMaxStraysPerHost = 64;

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

std::vector<Extent> ToExtents(const DeviceId& device, const ByteRanges& ranges) {
  std::vector<Extent> extents;
  for (const ByteRange& range : ranges) extents.push_back({device, range.offset, range.length});
  return extents;
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

// What a stray may have of a device: what nobody has, or other strays.
ByteRanges Unowned(const State& state, const DeviceId& id, const DeviceState& device) {
  ByteRanges free;
  for (const Extent& extent : state.pools.at(PoolIdOf(device))->allocator.FreeExtents(id)) {
    free.push_back({extent.offset, extent.length});
  }
  return Union(Union(Joined(std::move(free)), device.quarantined), device.strayed);
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

void ReserveAll(State& state, const store::v1::StrayRecord& record) {
  for (const auto& [id, ranges] : RangesOf(record.runs())) {
    const auto device = state.devices.find(id);
    if (device != state.devices.end() && IsInPool(device->second)) Reserve(state, id, ranges);
  }
}

// Gives up what no stray has any more of the device.
void GiveUp(State& state, const Context& context, const DeviceId& id, Changes& changes) {
  DeviceState& device = state.devices.at(id);
  ByteRanges left;
  for (const auto& [key, record] : state.strays) {
    const RangesByDevice ranges = RangesOf(record.runs());
    const auto here = ranges.find(id);
    if (here != ranges.end()) left = Union(left, here->second);
  }
  const ByteRanges gone = Difference(device.strayed, left);
  device.strayed = Difference(device.strayed, gone);
  if (gone.empty()) return;
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

std::string AssignmentKey(SegmentId segment) { return absl::StrCat("grant/", segment.value()); }

v1::Assignment ToAssignment(const store::v1::StrayRecord& record) {
  v1::Assignment assignment;
  assignment.set_key(AssignmentKey(SegmentId(record.grant().segment_id())));
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
  grant.set_mode(held.mode() == v1::READ_WRITE ? v1::READ_WRITE : v1::READ_ONLY);
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
  changes.Unassign(key.second, AssignmentKey(key.first));
  Emit(state, context, v1::STRAY_RELEASED, record.grant().segment(), record.grant().host(),
       absl::StrCat("segment ", key.first.value()), changes);
  for (const auto& [id, ranges] : RangesOf(record.runs())) {
    const auto device = state.devices.find(id);
    if (device != state.devices.end() && IsInPool(device->second)) {
      GiveUp(state, context, id, changes);
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
  const auto known = state.hosts.find(host);
  const size_t strays = known == state.hosts.end() ? 0 : known->second.strays.size();
  if (strays > 0 && known->second.strays.contains(SegmentId(held.segment_id()))) {
    return absl::OkStatus();
  }
  if (!IsDescribed(state.options, held)) {
    return Recovering(host, held, "and does not say where it is");
  }
  if (strays >= kMaxStraysPerHost) {
    return Recovering(host, held, absl::StrCat("and ", strays, " others"));
  }
  for (const auto& [id, ranges] : RangesOf(held.runs())) {
    const auto device = state.devices.find(id);
    if (device == state.devices.end() || !IsInPool(device->second)) continue;
    if (Difference(ranges, Unowned(state, id, device->second)).empty()) continue;
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
    ReserveAll(state, it->second);
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
    changes.Unassign(host, AssignmentKey(segment));
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
  for (const auto& [key, record] : state.strays) {
    if (!RangesOf(record.runs()).contains(device)) continue;
    return MakeError(
        absl::StatusCode::kFailedPrecondition, v1::IN_USE,
        absl::StrCat(FormatDeviceName(device), " has bytes of stray segment ", key.first.value(),
                     ", which ", key.second, " holds: `weft fsck --repair` takes it back"));
  }
  return absl::OkStatus();
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
      sound = sound && Difference(ranges, Unowned(state, id, device->second)).empty();
    }
    if (!sound) {
      return MakeError(absl::StatusCode::kDataLoss, v1::STORE_DAMAGED,
                       absl::StrCat("stray segment ", key.first.value(), " of ", key.second,
                                    " is of no host, or its bytes have another owner: restore "
                                    "the coordinator's store from a backup"));
    }
    host->second.strays.insert(key.first);
    ReserveAll(state, record);
    if (host->second.record.host().state() == v1::HOST_DOWN) state.leaving_strays.insert(key);
  }
  return absl::OkStatus();
}

}  // namespace weft
