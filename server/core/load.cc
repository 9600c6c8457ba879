#include "server/core/load.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/core/backlog.h"
#include "server/core/devices.h"
#include "server/core/errors.h"
#include "server/core/inventory.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/moves.h"
#include "server/core/names.h"
#include "server/core/proofs.h"
#include "server/core/quarantine.h"
#include "server/core/recovery.h"
#include "server/core/scrubs.h"
#include "server/core/strays.h"

namespace weft {
namespace {

absl::Status Damaged(const std::string& message) {
  return MakeError(absl::StatusCode::kDataLoss, v1::STORE_DAMAGED,
                   absl::StrCat(message, ": restore the coordinator's store from a backup"));
}

// Strips `prefix` from `key`, if it is there.
bool Consume(std::string_view& key, std::string_view prefix) {
  if (key.substr(0, prefix.size()) != prefix) return false;
  key.remove_prefix(prefix.size());
  return true;
}

bool AreExtents(const google::protobuf::RepeatedPtrField<v1::Extent>& extents) {
  return std::all_of(extents.begin(), extents.end(), [](const v1::Extent& extent) {
    return ParseDeviceName(extent.device()).ok() && extent.length_bytes() < kMaxBytes.value();
  });
}

bool IsSound(const store::v1::DeviceRecord& record) {
  const v1::Device& device = record.device();
  const size_t nonce = record.last_nonce().size();
  return ParseDeviceName(device.name()).ok() &&
         (device.pool().empty() || ParsePoolName(device.pool()).ok()) &&
         (nonce == 0 || nonce == sizeof(Uuid)) && record.exchange_slots() >= kMinExchangeSlots &&
         IsDataArea(device.capacity_bytes(), device.data_offset_bytes(), device.data_bytes());
}

bool IsSound(const store::v1::SegmentRecord& record) {
  const auto& runs = record.segment().runs();
  return record.segment().id() != 0 && runs.size() > 0 &&
         std::all_of(runs.begin(), runs.end(),
                     [](const v1::Run& run) { return AreExtents(run.extents()); });
}

bool IsSound(const store::v1::ScrubRecord& record) {
  if (record.extents_size() == 0 || !AreExtents(record.extents())) return false;
  return std::all_of(record.extents().begin(), record.extents().end(),
                     [&](const v1::Extent& e) { return e.device() == record.extents(0).device(); });
}

// Each of these takes a record if it is sound and belongs under its key.

bool AddPool(State& state, std::string_view id, const std::string& value) {
  auto pool = std::make_unique<PoolState>();
  if (!pool->record.ParseFromString(value)) return false;
  if (pool->record.pool().name() != FormatPoolName(id)) return false;
  state.pool_by_uuid[pool->record.pool().uuid()] = std::string(id);
  state.pools[std::string(id)] = std::move(pool);
  return true;
}

bool AddDeviceRecord(State& state, std::string_view key, const std::string& value) {
  store::v1::DeviceRecord record;
  if (!record.ParseFromString(value) || !IsSound(record)) return false;
  const DeviceId id = *ParseDeviceName(record.device().name());
  state.devices[id].record = std::move(record);
  return key == keys::Device(id);
}

bool AddSegment(State& state, std::string_view key, const std::string& value) {
  store::v1::SegmentRecord record;
  if (!record.ParseFromString(value) || !IsSound(record)) return false;
  absl::StatusOr<SegmentName> name = ParseSegmentName(record.segment().name());
  if (!name.ok() || key != keys::Segment(name->pool, name->segment)) return false;
  state.segments[{name->pool, name->segment}] = std::move(record);
  return true;
}

bool AddHost(State& state, std::string_view id, const std::string& value) {
  store::v1::HostRecord& record = state.hosts[std::string(id)].record;
  return record.ParseFromString(value) && record.host().name() == FormatHostName(id);
}

bool AddGrant(State& state, std::string_view key, const std::string& value) {
  store::v1::GrantRecord record;
  if (!record.ParseFromString(value)) return false;
  absl::StatusOr<std::string> host = ParseHostName(record.grant().host());
  const SegmentId segment(record.grant().segment_id());
  if (!host.ok() || key != keys::Grant(segment, *host)) return false;
  state.grants[{segment, *host}] = std::move(record);
  return true;
}

bool AddScrub(State& state, std::string_view key, const std::string& value) {
  store::v1::ScrubRecord record;
  if (!record.ParseFromString(value) || !IsSound(record)) return false;
  const uint64_t id = record.id();
  state.scrubs[id] = std::move(record);
  return key == keys::Scrub(id);
}

bool AddStray(State& state, std::string_view key, const std::string& value) {
  store::v1::StrayRecord record;
  if (!record.ParseFromString(value)) return false;
  absl::StatusOr<std::string> host = ParseHostName(record.grant().host());
  const SegmentId segment(record.grant().segment_id());
  const bool sound = std::all_of(record.runs().begin(), record.runs().end(),
                                 [](const v1::Run& run) { return AreExtents(run.extents()); });
  if (!sound || !host.ok() || key != keys::Stray(segment, *host)) return false;
  state.strays[{segment, *host}] = std::move(record);
  return true;
}

bool AddPoison(State& state, std::string_view key, const std::string& value) {
  store::v1::PoisonRecord record;
  if (!record.ParseFromString(value)) return false;
  const absl::StatusOr<DeviceId> id =
      Uuid::Parse(key.substr(std::string_view(keys::kPoison).size()));
  if (!id.ok() || !CheckBadRanges(record.ranges(), kMaxBytes.value()).ok()) return false;
  state.devices[*id].bad = FromProto(record.ranges());
  return true;
}

bool AddRequest(State& state, std::string_view key, const std::string& value) {
  store::v1::RequestRecord record;
  if (!record.ParseFromString(value)) return false;
  if (key != keys::Request(record.principal(), record.request_id())) return false;
  RequestLog& log = state.requests[record.principal()];
  log.by_time.emplace(record.time_unix_ms(), record.request_id());
  const std::string id = record.request_id();
  log.by_id[id] = std::move(record);
  ++state.request_count;
  return true;
}

bool AddEvent(State& state, std::string_view key, const std::string& value) {
  store::v1::EventRecord record;
  if (!record.ParseFromString(value)) return false;
  if (key != keys::Event(record.event().revision())) return false;
  state.events.push_back(std::move(*record.mutable_event()));
  return true;
}

// The parts of a device that no segment can use.
std::vector<Extent> LabelAreas(const DeviceId& id, const v1::Device& device) {
  const uint64_t data_end = device.data_offset_bytes() + device.data_bytes();
  std::vector<Extent> areas = {
      {id, ByteOffset(0), ByteCount(device.data_offset_bytes())},
      {id, ByteOffset(data_end), ByteCount(device.capacity_bytes() - data_end)}};
  std::erase_if(areas, [](const Extent& area) { return area.length == ByteCount(0); });
  return areas;
}

absl::Status IndexDevices(State& state) {
  for (auto& [id, device] : state.devices) {
    const v1::Device& record = device.record.device();
    if (record.pool().empty()) continue;
    absl::StatusOr<PoolState*> pool = FindPool(state, record.pool());
    if (!pool.ok())
      return Damaged(absl::StrCat(record.name(), " is in ", record.pool(), ", which is not there"));
    (*pool)->devices.insert(id);
    (*pool)->allocator.AddDevice(id, ByteCount(record.capacity_bytes()));
    UpdateAllocatable(state, id);
    for (const Extent& area : LabelAreas(id, record)) {
      if (absl::Status s = (*pool)->allocator.Reserve(area); !s.ok()) return s;
    }
  }
  return absl::OkStatus();
}

// Marks bytes as taken by `owner`.
absl::Status Take(State& state, const Extent& extent, const std::string& owner) {
  auto device = state.devices.find(extent.device);
  if (device == state.devices.end() || device->second.record.device().pool().empty()) {
    return Damaged(
        absl::StrCat(owner, " is on device ", extent.device.ToString(), ", which is in no pool"));
  }
  const absl::Status reserved = PoolOfDevice(state, device->second).allocator.Reserve(extent);
  if (reserved.ok()) return reserved;
  return Damaged(absl::StrCat(
      owner, " and another owner have the same bytes: ", std::string(reserved.message())));
}

absl::Status IndexSegments(State& state) {
  for (const auto& [key, record] : state.segments) {
    const v1::Segment& segment = record.segment();
    auto pool = state.pools.find(key.first);
    if (pool == state.pools.end()) return Damaged(absl::StrCat(segment.name(), " is in no pool"));
    ++pool->second->segments;
    state.segment_by_id[SegmentId(segment.id())] = key;
    for (const Extent& extent : ExtentsOf(segment)) {
      if (absl::Status s = Take(state, extent, segment.name()); !s.ok()) return s;
      state.devices.at(extent.device).used_bytes += extent.length.value();
    }
  }
  return absl::OkStatus();
}

absl::Status IndexScrubs(State& state) {
  for (const auto& [id, record] : state.scrubs) {
    const std::string name = absl::StrCat("scrub ", id);
    for (const Extent& extent : RemainingOf(record)) {
      if (absl::Status s = Take(state, extent, name); !s.ok()) return s;
      state.devices.at(extent.device).scrubbing_bytes += extent.length.value();
    }
    if (record.host().empty()) {
      state.devices.at(FromProto(record.extents(0)).device).unassigned_scrubs.insert(id);
    } else {
      auto host = state.hosts.find(record.host());
      if (host == state.hosts.end()) return Damaged(absl::StrCat(name, " is of no host"));
      host->second.scrubs.insert(id);
    }
  }
  return absl::OkStatus();
}

absl::Status IndexGrants(State& state) {
  for (const auto& [key, record] : state.grants) {
    auto host = state.hosts.find(key.second);
    if (host == state.hosts.end() || !state.segment_by_id.contains(key.first)) {
      return Damaged(absl::StrCat(record.grant().name(), " is of no host or segment"));
    }
    host->second.grants.insert(key.first);
  }
  return absl::OkStatus();
}

// Whether the copy can go on. It cannot if an older coordinator, which knows of no copies and
// keeps the record of this one, had the scrub zeroed or the segment opened, or deleted.
bool CanGoOn(const State& state, const store::v1::ScrubRecord& record) {
  const SegmentId segment(record.copy().segment_id());
  const bool whole = !record.host().empty() && record.done_bytes() == 0;
  const bool unused = state.segment_by_id.contains(segment) && !HasGrants(state, segment) &&
                      !state.copies.contains(segment);
  if (!whole || !unused || !ParseDeviceName(record.copy().from().device()).ok()) return false;
  const Extent from = FromProto(record.copy().from());
  const std::vector<Extent> extents = ExtentsOf(SegmentById(state, segment).segment());
  const bool has_from = std::any_of(extents.begin(), extents.end(), [&](const Extent& extent) {
    return extent.device == from.device && extent.offset <= from.offset &&
           from.end() <= extent.end();
  });
  ByteCount to;
  for (const Extent& extent : RemainingOf(record)) to += extent.length;
  return has_from && to == from.length;
}

void IndexCopies(State& state, Changes& changes) {
  for (auto& [id, record] : state.scrubs) {
    if (!record.has_copy()) continue;
    if (CanGoOn(state, record)) {
      state.copies[SegmentId(record.copy().segment_id())] = id;
    } else {
      ZeroInstead(state, id, changes);
    }
  }
}

// What a Tick before the restart left to do.
void IndexBacklog(State& state) {
  for (auto& [id, host] : state.hosts) {
    for (const uint64_t segment : host.record.releasing_segments()) {
      if (host.grants.contains(SegmentId(segment))) host.releasing.insert(SegmentId(segment));
    }
    if (!host.releasing.empty()) state.releasing_hosts.insert(id);
    if (host.record.host().draining()) state.revoking_hosts.insert(id);
  }
  for (const auto& [id, device] : state.devices) {
    if (device.record.device().state() == v1::DEVICE_LOST) StartLosing(state, id);
    if (device.record.device().state() == v1::DEVICE_DRAINING) IndexDrain(state, id);
  }
}

}  // namespace

Loader::Loader(CoreOptions options) : state_(std::make_unique<State>(std::move(options))) {}

absl::Status Loader::Add(std::string_view key, std::string_view value) {
  if (AddRecord(key, std::string(value))) return absl::OkStatus();
  return Damaged(absl::StrCat("the record ", std::string(key), " cannot be read"));
}

bool Loader::AddRecord(std::string_view key, const std::string& value) {
  State& state = *state_;
  std::string_view rest = key;
  if (key == keys::kCluster) {
    return state.cluster.ParseFromString(value) && !state.cluster.cluster_uuid().empty();
  }
  if (Consume(rest, keys::kPools)) return AddPool(state, rest, value);
  if (Consume(rest, keys::kDevices)) return AddDeviceRecord(state, key, value);
  if (Consume(rest, keys::kAttachments)) return AddAttachment(rest, value);
  if (Consume(rest, keys::kSegments)) return AddSegment(state, key, value);
  if (Consume(rest, keys::kHosts)) return AddHost(state, rest, value);
  if (Consume(rest, keys::kGrants)) return AddGrant(state, key, value);
  if (Consume(rest, keys::kScrubs)) return AddScrub(state, key, value);
  if (Consume(rest, keys::kStrays)) return AddStray(state, key, value);
  if (Consume(rest, keys::kPoison)) return AddPoison(state, key, value);
  if (Consume(rest, keys::kRequests)) return AddRequest(state, key, value);
  if (Consume(rest, keys::kEvents)) return AddEvent(state, key, value);
  return true;
}

bool Loader::AddAttachment(std::string_view rest, const std::string& value) {
  store::v1::AttachmentRecord record;
  const size_t slash = rest.find('/');
  absl::StatusOr<DeviceId> id = Uuid::Parse(rest.substr(0, slash));
  if (slash == std::string_view::npos || !id.ok() || !record.ParseFromString(value)) return false;
  const std::string host(rest.substr(slash + 1));
  if (record.attachment().host() != FormatHostName(host)) return false;
  pending_attachments_.push_back({*id, host, std::move(record)});
  return true;
}

absl::StatusOr<std::unique_ptr<State>> Loader::Finish(Now now, Changes* changes) && {
  State& state = *state_;
  if (state.cluster.cluster_uuid().empty()) {
    const bool is_new = state.hosts.empty() && state.devices.empty() && state.pools.empty() &&
                        state.segments.empty() && state.events.empty();
    if (!is_new) return Damaged("the cluster's own record is not there");
    state.cluster.set_cluster_uuid(state.options.random_uuid().ToString());
    state.cluster.set_epoch(1);
    PutCluster(state, *changes);
  }
  for (PendingAttachment& pending : pending_attachments_) {
    auto device = state.devices.find(pending.device);
    if (device == state.devices.end()) {
      return Damaged(absl::StrCat("an attachment of ", pending.host, " is of no device"));
    }
    device->second.attachments[pending.host] = std::move(pending.record);
  }
  if (absl::Status s = IndexDevices(state); !s.ok()) return s;
  if (absl::Status s = IndexSegments(state); !s.ok()) return s;
  if (absl::Status s = IndexScrubs(state); !s.ok()) return s;
  if (absl::Status s = IndexGrants(state); !s.ok()) return s;
  IndexCopies(state, *changes);
  if (absl::Status s = IndexStrays(state); !s.ok()) return s;
  IndexQuarantine(state);
  IndexBacklog(state);
  for (auto& [id, host] : state.hosts) {
    if (host.record.host().state() == v1::HOST_ALIVE) host.session = LiveSession{now.monotonic};
  }
  Changes unheard;  // hosts get all their assignments when they register again
  for (auto& [id, device] : state.devices) UpdateLabelWork(state, device, unheard);
  return std::move(state_);
}

}  // namespace weft
