#include "server/core/load.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/core/devices.h"
#include "server/core/errors.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/names.h"
#include "server/core/scrubs.h"

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

void AddRequest(State& state, store::v1::RequestRecord record) {
  RequestLog& log = state.requests[record.principal()];
  log.by_time.emplace(record.time_unix_ms(), record.request_id());
  const std::string id = record.request_id();
  log.by_id[id] = std::move(record);
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
    (*pool)->allocator.SetAllocatable(id, record.state() == v1::DEVICE_ACTIVE);
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

}  // namespace

Loader::Loader(CoreOptions options) : state_(std::make_unique<State>(std::move(options))) {}

absl::Status Loader::Add(std::string_view key, std::string_view value) {
  State& state = *state_;
  const std::string bytes(value);
  std::string_view rest = key;
  bool parsed = true;
  if (key == keys::kCluster) {
    parsed = state.cluster.ParseFromString(bytes);
  } else if (Consume(rest, keys::kPools)) {
    auto pool = std::make_unique<PoolState>();
    parsed = pool->record.ParseFromString(bytes);
    state.pool_by_uuid[pool->record.pool().uuid()] = std::string(rest);
    state.pools[std::string(rest)] = std::move(pool);
  } else if (Consume(rest, keys::kDevices)) {
    absl::StatusOr<DeviceId> id = Uuid::Parse(rest);
    parsed = id.ok() && state.devices[*id].record.ParseFromString(bytes);
  } else if (Consume(rest, keys::kAttachments)) {
    store::v1::AttachmentRecord record;
    const size_t slash = rest.find('/');
    absl::StatusOr<DeviceId> id = Uuid::Parse(rest.substr(0, slash));
    parsed = slash != std::string_view::npos && id.ok() && record.ParseFromString(bytes);
    if (parsed) pending_attachments_.push_back({*id, std::string(rest.substr(slash + 1)), record});
  } else if (Consume(rest, keys::kSegments)) {
    const size_t slash = rest.find('/');
    parsed =
        slash != std::string_view::npos &&
        state.segments[{std::string(rest.substr(0, slash)), std::string(rest.substr(slash + 1))}]
            .ParseFromString(bytes);
  } else if (Consume(rest, keys::kHosts)) {
    parsed = state.hosts[std::string(rest)].record.ParseFromString(bytes);
  } else if (Consume(rest, keys::kGrants)) {
    store::v1::GrantRecord record;
    parsed = record.ParseFromString(bytes);
    absl::StatusOr<std::string> host = ParseHostName(record.grant().host());
    parsed = parsed && host.ok();
    if (parsed) state.grants[{SegmentId(record.grant().segment_id()), *host}] = std::move(record);
  } else if (Consume(rest, keys::kScrubs)) {
    store::v1::ScrubRecord record;
    parsed = record.ParseFromString(bytes) && record.extents_size() > 0;
    if (parsed) state.scrubs[record.id()] = std::move(record);
  } else if (Consume(rest, keys::kRequests)) {
    store::v1::RequestRecord record;
    parsed = record.ParseFromString(bytes);
    AddRequest(state, std::move(record));
  } else if (Consume(rest, keys::kEvents)) {
    store::v1::EventRecord record;
    parsed = record.ParseFromString(bytes);
    state.events.push_back(std::move(*record.mutable_event()));
  }
  if (!parsed) return Damaged(absl::StrCat("the record ", std::string(key), " cannot be read"));
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<State>> Loader::Finish(Now now, Changes* changes) && {
  State& state = *state_;
  if (state.cluster.cluster_uuid().empty()) {
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
  for (auto& [id, host] : state.hosts) {
    if (host.record.host().state() == v1::HOST_ALIVE) host.session = LiveSession{now.monotonic};
  }
  Changes unheard;  // hosts get all their assignments when they register again
  for (auto& [id, device] : state.devices) UpdateLabelWork(state, device, unheard);
  return std::move(state_);
}

}  // namespace weft
