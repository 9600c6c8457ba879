#include "server/core/segments.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/core/check.h"
#include "server/core/copies.h"
#include "server/core/devices.h"
#include "server/core/errors.h"
#include "server/core/events.h"
#include "server/core/grants.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/moves.h"
#include "server/core/names.h"
#include "server/core/paging.h"
#include "server/core/quarantine.h"
#include "server/core/recovery.h"
#include "server/core/runs.h"
#include "server/core/scrubs.h"

namespace weft {
namespace {

absl::Status BadSize(const std::string& message) {
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_SIZE, message);
}

absl::Status BadArgument(const std::string& message) {
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT, message);
}

absl::Status CheckSize(uint64_t size_bytes) {
  if (size_bytes > 0 && size_bytes < kMaxBytes.value() && IsMultipleOf(size_bytes, kExtentUnit)) {
    return absl::OkStatus();
  }
  return BadSize(absl::StrCat("size_bytes is ", size_bytes,
                              "; a size is a multiple of 2 MiB, not 0, and below 2^63"));
}

absl::Status CheckStripe(const v1::Segment& segment) {
  if (segment.placement() != v1::STRIPED) {
    if (segment.stripe_devices() == 0 && segment.chunk_bytes() == 0) return absl::OkStatus();
    return BadArgument("stripe_devices and chunk_bytes are for placement STRIPED only");
  }
  if (segment.stripe_devices() < kMinStripeColumns ||
      segment.stripe_devices() > kMaxStripeColumns) {
    return BadArgument(absl::StrCat("stripe_devices is ", segment.stripe_devices(), "; ",
                                    kMinStripeColumns, " to ", kMaxStripeColumns));
  }
  if (segment.chunk_bytes() == 0 || segment.chunk_bytes() >= kMaxBytes.value() ||
      !IsMultipleOf(segment.chunk_bytes(), kExtentUnit)) {
    return BadArgument(
        absl::StrCat("chunk_bytes is ", segment.chunk_bytes(), "; a multiple of 2 MiB, not 0"));
  }
  return absl::OkStatus();
}

// The resource as the request asks for it, with the defaults filled in.
absl::StatusOr<v1::Segment> Wanted(const PoolState& pool, const Context& context,
                                   const v1::CreateSegmentRequest& request) {
  const v1::Segment& asked = request.segment();
  if (absl::Status s = CheckSize(asked.size_bytes()); !s.ok()) return s;
  if (!v1::SharingMode_IsValid(asked.sharing())) return BadArgument("sharing is not a mode");
  if (!v1::Placement_IsValid(asked.placement())) return BadArgument("placement is not a policy");
  v1::Segment wanted;
  wanted.set_size_bytes(asked.size_bytes());
  wanted.set_sharing(asked.sharing() == v1::SHARING_MODE_UNSPECIFIED ? v1::SINGLE_WRITER
                                                                     : asked.sharing());
  wanted.set_placement(asked.placement() == v1::PLACEMENT_UNSPECIFIED
                           ? pool.record.pool().default_placement()
                           : asked.placement());
  wanted.set_stripe_devices(asked.stripe_devices());
  wanted.set_chunk_bytes(asked.chunk_bytes());
  if (absl::Status s = CheckStripe(wanted); !s.ok()) return s;
  if (wanted.placement() == v1::LOCAL && context.host.empty()) {
    return BadArgument(
        "placement LOCAL is relative to a host: create the segment through that host's weftd");
  }
  wanted.set_owner(context.principal);
  wanted.set_create_time_unix_ms(context.now.unix_ms);
  wanted.set_state(v1::SEGMENT_ACTIVE);
  wanted.set_generation(1);
  return wanted;
}

AllocationRequest ToAllocationRequest(const State& state, const Context& context,
                                      const PoolState& pool, const v1::Segment& segment,
                                      ByteCount size) {
  AllocationRequest request;
  request.size = size;
  request.placement = segment.placement();
  request.max_extents = state.options.max_allocation_extents;
  if (segment.placement() == v1::STRIPED) {
    request.stripe = {segment.stripe_devices(), ByteCount(segment.chunk_bytes())};
  }
  if (segment.placement() == v1::LOCAL) {
    for (const DeviceId& id : pool.devices) {
      const auto& attachments = state.devices.at(id).attachments;
      auto it = attachments.find(context.host);
      if (it == attachments.end()) continue;
      const uint32_t distance = it->second.attachment().numa_distance();
      if (distance != 0) request.distances[id] = distance;
    }
  }
  if (segment.runs_size() > 0) {
    for (const v1::Extent& extent : segment.runs(segment.runs_size() - 1).extents()) {
      request.grow_after.push_back(FromProto(extent));
    }
  }
  return request;
}

// Why the pool has not enough: what is in recovery may be what is missing.
absl::Status WhyNotAllocated(const State& state, const PoolState& pool, const absl::Status& error,
                             const std::string& name) {
  if (absl::Status s = CheckNotRecovering(state, pool); !s.ok()) return Annotate(s, name);
  return Annotate(error, name);
}

absl::Status CheckTakesExtents(const State& state, const DeviceId& id) {
  if (absl::Status s = CheckNotRecovering(state, id); !s.ok()) return s;
  const v1::Device& device = state.devices.at(id).record.device();
  if (device.state() == v1::DEVICE_ACTIVE) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::IN_USE,
                   absl::StrCat(device.name(), " is ", v1::DeviceState_Name(device.state()),
                                ": only DEVICE_ACTIVE ones take new extents"));
}

// Exactly the extents asked for, or nothing.
absl::StatusOr<Allocation> ReserveExplicit(const State& state, PoolState& pool,
                                           const v1::CreateSegmentRequest& request,
                                           const v1::Segment& wanted) {
  if (wanted.placement() == v1::STRIPED) {
    return BadArgument("explicit extents cannot be striped");
  }
  if (static_cast<uint32_t>(request.extents_size()) > state.options.max_segment_extents) {
    return BadArgument(absl::StrCat("a segment has at most ", state.options.max_segment_extents,
                                    " extents, not ", request.extents_size()));
  }
  Allocation allocation;
  uint64_t total = 0;
  absl::Status error = absl::OkStatus();
  for (const v1::Extent& proto : request.extents()) {
    absl::StatusOr<DeviceId> device = FindDevice(state, proto.device());
    if (!device.ok()) {
      error = device.status();
      break;
    }
    error = CheckTakesExtents(state, *device);
    if (!error.ok()) break;
    const Extent extent{*device, ByteOffset(proto.offset_bytes()), ByteCount(proto.length_bytes())};
    error = pool.allocator.Reserve(extent);
    if (!error.ok()) break;
    allocation.extents.push_back(extent);
    total += proto.length_bytes();
  }
  if (error.ok() && total != wanted.size_bytes()) {
    error = BadSize(
        absl::StrCat("the extents have ", total, " bytes, not size_bytes ", wanted.size_bytes()));
  }
  if (error.ok()) return allocation;
  for (const Extent& extent : allocation.extents) pool.allocator.Free(extent);
  return error;
}

// Makes `allocation` the end of the segment.
void AppendAllocation(State& state, const Allocation& allocation, v1::Segment& segment) {
  v1::Run striped;
  for (const Extent& extent : allocation.extents) {
    DeviceState& device = state.devices.at(extent.device);
    device.used_bytes += extent.length.value();
    if (device.record.device().coherence() != v1::HARDWARE) segment.set_coherence(v1::SOFTWARE);
    if (segment.placement() == v1::STRIPED) {
      *striped.add_extents() = ToProto(extent);
    } else {
      v1::Run run;
      *run.add_extents() = ToProto(extent);
      AppendRun(segment, run);
    }
  }
  if (segment.placement() == v1::STRIPED) {
    striped.set_chunk_bytes(segment.chunk_bytes());
    AppendRun(segment, striped);
  }
}

// Whether all holders that are alive have the devices that the segment would get with
// `allocation`: their mappings would grow onto memory that was never proved.
absl::Status CheckHoldersSee(const State& state, const v1::Segment& segment,
                             const Allocation& allocation) {
  absl::btree_set<DeviceId> devices;
  for (const Extent& extent : allocation.extents) devices.insert(extent.device);
  for (const DeviceId& device : DevicesOf(segment)) devices.erase(device);
  for (const std::string& host : HoldersOf(state, SegmentId(segment.id()))) {
    if (!IsAlive(state, host)) continue;
    for (const DeviceId& device : devices) {
      if (absl::Status s = CheckAttached(state, host, device); !s.ok()) {
        return Annotate(s, absl::StrCat(segment.name(), " is held by ", host));
      }
    }
  }
  return absl::OkStatus();
}

std::string Names(const std::vector<std::string>& hosts) {
  constexpr size_t kMost = 8;
  if (hosts.size() <= kMost) return absl::StrJoin(hosts, ", ");
  return absl::StrCat(absl::StrJoin(hosts.begin(), hosts.begin() + kMost, ", "), " and ",
                      hosts.size() - kMost, " more");
}

}  // namespace

absl::StatusOr<v1::Segment> CreateSegment(State& state, const Context& context,
                                          const v1::CreateSegmentRequest& request,
                                          Changes& changes) {
  absl::StatusOr<PoolState*> pool = FindPool(state, request.parent());
  if (!pool.ok()) return pool.status();
  if (absl::Status s = CheckId("segment", request.segment_id()); !s.ok()) return s;
  const SegmentName name{*ParsePoolName(request.parent()), request.segment_id()};
  if (state.segments.contains({name.pool, name.segment})) {
    return MakeError(
        absl::StatusCode::kAlreadyExists, v1::ALREADY_EXISTS,
        absl::StrCat("there is a segment \"", name.pool, "/", name.segment, "\" already"));
  }
  absl::StatusOr<v1::Segment> segment = Wanted(**pool, context, request);
  if (!segment.ok()) return segment.status();
  absl::StatusOr<Allocation> allocation =
      request.extents_size() > 0
          ? ReserveExplicit(state, **pool, request, *segment)
          : (*pool)->allocator.Allocate(ToAllocationRequest(state, context, **pool, *segment,
                                                            ByteCount(segment->size_bytes())));
  if (!allocation.ok()) {
    return WhyNotAllocated(state, **pool, allocation.status(), request.parent());
  }

  state.cluster.set_last_segment_id(state.cluster.last_segment_id() + 1);
  PutCluster(state, changes);
  segment->set_name(FormatSegmentName(name));
  segment->set_id(state.cluster.last_segment_id());
  segment->set_coherence(v1::HARDWARE);
  AppendAllocation(state, *allocation, *segment);
  store::v1::SegmentRecord record;
  *record.mutable_segment() = *segment;
  changes.Put(keys::Segment(name.pool, name.segment), record);
  state.segment_by_id[SegmentId(segment->id())] = {name.pool, name.segment};
  state.segments[{name.pool, name.segment}] = std::move(record);
  ++(*pool)->segments;
  Emit(state, context, v1::SEGMENT_CREATED, segment->name(), "",
       absl::StrCat(segment->size_bytes(), " bytes"), changes);
  return segment;
}

absl::StatusOr<v1::Segment> GrowSegment(State& state, const Context& context,
                                        const v1::GrowSegmentRequest& request, Changes& changes) {
  absl::StatusOr<SegmentKey> key = FindSegment(state, request.name());
  if (!key.ok()) return key.status();
  if (absl::Status s = CheckSize(request.size_bytes()); !s.ok()) return s;
  store::v1::SegmentRecord& record = state.segments.at(*key);
  v1::Segment& segment = *record.mutable_segment();
  if (segment.state() != v1::SEGMENT_ACTIVE) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::MODE_NOT_ALLOWED,
                     absl::StrCat(segment.name(), " is ", v1::SegmentState_Name(segment.state()),
                                  " and cannot grow"));
  }
  if (request.size_bytes() == segment.size_bytes()) return segment;
  if (request.size_bytes() < segment.size_bytes()) {
    return BadSize(absl::StrCat(segment.name(), " has ", segment.size_bytes(),
                                " bytes already; a segment never gets smaller"));
  }
  PoolState& pool = *state.pools.at(key->first);
  const ByteCount more(request.size_bytes() - segment.size_bytes());
  AllocationRequest allocation_request = ToAllocationRequest(state, context, pool, segment, more);
  const auto extents = static_cast<uint32_t>(ExtentsOf(segment).size());
  allocation_request.max_extents = std::min(
      allocation_request.max_extents,
      state.options.max_segment_extents - std::min(extents, state.options.max_segment_extents));
  absl::StatusOr<Allocation> allocation = pool.allocator.Allocate(allocation_request);
  if (!allocation.ok()) return WhyNotAllocated(state, pool, allocation.status(), segment.name());
  if (absl::Status s = CheckHoldersSee(state, segment, *allocation); !s.ok()) {
    for (const Extent& extent : allocation->extents) pool.allocator.Free(extent);
    return s;
  }

  // A column is copied as a whole, and gets longer.
  if (segment.placement() == v1::STRIPED) {
    StopCopy(state, context, SegmentId(segment.id()), "it grows", changes);
  }
  AppendAllocation(state, *allocation, segment);
  segment.set_size_bytes(request.size_bytes());
  changes.Put(keys::Segment(key->first, key->second), record);
  Emit(state, context, v1::SEGMENT_GROWN, segment.name(), "",
       absl::StrCat(segment.size_bytes(), " bytes"), changes);
  RefreshHolders(state, SegmentId(segment.id()), changes);
  return segment;
}

absl::Status DeleteSegment(State& state, const Context& context,
                           const v1::DeleteSegmentRequest& request, Changes& changes) {
  absl::StatusOr<SegmentKey> key = FindSegment(state, request.name());
  if (!key.ok()) return key.status();
  store::v1::SegmentRecord& record = state.segments.at(*key);
  v1::Segment& segment = *record.mutable_segment();
  const SegmentId id(segment.id());
  if (absl::Status s = CheckNotRecovering(state, segment); !s.ok()) return s;
  const std::vector<std::string> holders = HoldersOf(state, id);
  if (holders.empty()) {
    FinishDelete(state, context, id, changes);
    return absl::OkStatus();
  }
  if (segment.state() == v1::SEGMENT_DELETING) return absl::OkStatus();
  if (!request.force()) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::IN_USE,
                     absl::StrCat(segment.name(), " is held by ", Names(holders),
                                  ": close it there, or take it back with force"));
  }
  segment.set_state(v1::SEGMENT_DELETING);
  changes.Put(keys::Segment(key->first, key->second), record);
  Emit(state, context, v1::SEGMENT_DELETE_STARTED, segment.name(), "", "", changes);
  StartRevoke(state, context, id, changes);
  return absl::OkStatus();
}

void FinishDelete(State& state, const Context& context, SegmentId id, Changes& changes) {
  ForgetGrants(state, context, id, changes);
  StopCopy(state, context, id, "it is deleted", changes);
  ForgetMoves(state, id);
  const SegmentKey key = state.segment_by_id.at(id);
  const v1::Segment segment = state.segments.at(key).segment();
  absl::btree_map<DeviceId, std::vector<Extent>> by_device;
  for (const Extent& extent : ExtentsOf(segment)) by_device[extent.device].push_back(extent);
  state.segment_by_id.erase(id);
  state.segments.erase(key);
  --state.pools.at(key.first)->segments;
  changes.Delete(keys::Segment(key.first, key.second));
  Emit(state, context, v1::SEGMENT_DELETED, segment.name(), "", "", changes);
  for (auto& [device_id, extents] : by_device) {
    DeviceState& device = state.devices.at(device_id);
    for (const Extent& extent : extents) device.used_bytes -= extent.length.value();
    if (device.record.device().state() == v1::DEVICE_LOST) {
      // Not allocatable, and not worth zeroing.
      for (const Extent& extent : extents) PoolOfDevice(state, device).allocator.Free(extent);
      continue;
    }
    StartScrub(state, context, device_id, std::move(extents), changes);
    TellIfDrained(state, context, device_id, changes);
  }
}

absl::StatusOr<v1::Segment> GetSegment(const State& state, const v1::GetSegmentRequest& request) {
  absl::StatusOr<SegmentKey> key = FindSegment(state, request.name());
  if (!key.ok()) return key.status();
  v1::Segment segment = state.segments.at(*key).segment();
  AddBadRanges(state, segment);
  return segment;
}

absl::StatusOr<v1::ListSegmentsResponse> ListSegments(const State& state,
                                                      const v1::ListSegmentsRequest& request) {
  std::string only_pool;
  if (request.parent() != "pools/-") {
    absl::StatusOr<PoolState*> pool = FindPool(state, request.parent());
    if (!pool.ok()) return pool.status();
    only_pool = *ParsePoolName(request.parent());
  }
  std::string last;
  if (absl::Status s = DecodePageToken(request.page_token(), &last); !s.ok()) return s;
  SegmentKey after(only_pool, "");
  if (!last.empty()) {
    absl::StatusOr<SegmentName> name = ParseSegmentName(last);
    if (!name.ok()) return BadPageToken();
    after = {name->pool, name->segment};
  }
  v1::ListSegmentsResponse response;
  const int32_t page_size = PageSize(request.page_size());
  for (auto it = state.segments.upper_bound(after); it != state.segments.end(); ++it) {
    if (!only_pool.empty() && it->first.first != only_pool) break;
    if (response.segments_size() == page_size) {
      response.set_next_page_token(EncodePageToken(std::prev(it)->second.segment().name()));
      break;
    }
    *response.add_segments() = it->second.segment();
    AddBadRanges(state, *response.mutable_segments()->rbegin());
  }
  return response;
}

}  // namespace weft
