#include "server/core/places.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/core/lookup.h"
#include "server/core/scrubs.h"

namespace weft {
namespace {

using Devices = absl::btree_set<DeviceId>;

// What is to be copied, and what of the segment matters for where.
struct Part {
  Extent from;
  bool striped = false;
  Devices columns;              // of the other columns of the stripe
  std::optional<Extent> after;  // what the segment has before it
};

Part FindPart(const State& state, const v1::Segment& segment, const DeviceId& device) {
  Part part;
  for (const v1::Run& run : segment.runs()) {
    part.striped = run.extents_size() > 1;
    for (const v1::Extent& proto : run.extents()) {
      const Extent extent = FromProto(proto);
      if (extent.device != device) continue;
      part.from = extent;
      for (const v1::Extent& other : run.extents()) part.columns.insert(FromProto(other).device);
      if (!part.striped) {
        part.from.length = std::min(extent.length, state.options.max_copy_bytes);
      }
      return part;
    }
    if (!part.striped) part.after = FromProto(run.extents(0));
  }
  WEFT_CHECK(false, segment.name(), " is not on the device");
  return part;
}

uint32_t CopiesOf(const State& state, const HostState& host) {
  return static_cast<uint32_t>(
      std::count_if(host.scrubs.begin(), host.scrubs.end(),
                    [&](uint64_t scrub) { return state.scrubs.at(scrub).has_copy(); }));
}

// Those that see the device and may copy one more, the least busy first.
absl::StatusOr<std::vector<std::string>> HostsFor(const State& state, const DeviceState& device) {
  std::vector<std::pair<size_t, std::string>> free;
  bool any = false;
  for (const auto& [id, attachment] : device.attachments) {
    if (!CanScrub(state, id, attachment)) continue;
    any = true;
    const HostState& host = state.hosts.at(id);
    if (host.scrubs.size() < state.options.max_scrubs_per_host &&
        CopiesOf(state, host) < state.options.max_copies_per_host) {
      free.emplace_back(host.scrubs.size(), id);
    }
  }
  if (!any) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::DEVICE_MISSING,
                     "no host that is alive and not being drained sees the device");
  }
  if (free.empty()) return absl::UnavailableError("all hosts have enough to copy and scrub");
  std::sort(free.begin(), free.end());
  std::vector<std::string> hosts;
  for (auto& [scrubs, host] : free) hosts.push_back(std::move(host));
  return hosts;
}

// The devices that `host` can copy to.
Devices TargetsOf(const State& state, const PoolState& pool, const v1::Segment& segment,
                  const DeviceId& from, const std::string& host) {
  Devices targets;
  for (const DeviceId& id : pool.devices) {
    const DeviceState& device = state.devices.at(id);
    const auto attachment = device.attachments.find(host);
    const bool sees = attachment != device.attachments.end() &&
                      attachment->second.attachment().state() == v1::ATTACHMENT_ATTACHED;
    const bool coherent =
        segment.coherence() != v1::HARDWARE || device.record.device().coherence() == v1::HARDWARE;
    if (id != from && sees && coherent) targets.insert(id);
  }
  return targets;
}

AllocationRequest RequestFor(const State& state, const v1::Segment& segment, const Part& part) {
  AllocationRequest request;
  request.size = part.from.length;
  if (part.striped) {
    request.max_extents = 1;
    return request;
  }
  const auto extents = static_cast<uint32_t>(ExtentsOf(segment).size());
  request.placement = segment.placement();
  // The part may be all of an extent, which it then takes the place of.
  request.max_extents =
      std::min(state.options.max_allocation_extents,
               std::max(state.options.max_segment_extents, extents) - extents + 1);
  return request;
}

absl::StatusOr<std::vector<Extent>> Reserve(PoolState& pool, AllocationRequest request,
                                            const Part& part, const Devices& targets) {
  request.only = targets;
  if (part.striped) {
    for (const DeviceId& column : part.columns) request.only.erase(column);
    if (!request.only.empty()) {
      absl::StatusOr<Allocation> apart = pool.allocator.Allocate(request);
      if (apart.ok()) return std::move(apart->extents);
    }
    request.only = targets;
  } else if (part.after.has_value() && targets.contains(part.after->device)) {
    request.grow_after = {*part.after};
  }
  absl::StatusOr<Allocation> allocation = pool.allocator.Allocate(request);
  if (!allocation.ok()) return allocation.status();
  return std::move(allocation->extents);
}

// Keeps of `to` what is on its first device, and of `from` what goes there.
void CutToOneDevice(PoolState& pool, Place& place) {
  const auto other = std::find_if(place.to.begin(), place.to.end(), [&](const Extent& extent) {
    return extent.device != place.to.front().device;
  });
  for (auto it = other; it != place.to.end(); ++it) pool.allocator.Free(*it);
  place.to.erase(other, place.to.end());
  place.from.length = ByteCount(0);
  for (const Extent& extent : place.to) place.from.length += extent.length;
}

}  // namespace

absl::StatusOr<Place> ReservePlace(State& state, const v1::Segment& segment,
                                   const DeviceId& device) {
  const absl::StatusOr<std::vector<std::string>> hosts = HostsFor(state, state.devices.at(device));
  if (!hosts.ok()) return hosts.status();
  PoolState& pool = PoolOfDevice(state, state.devices.at(device));
  const Part part = FindPart(state, segment, device);
  const AllocationRequest request = RequestFor(state, segment, part);
  absl::Status why = MakeError(absl::StatusCode::kResourceExhausted, v1::POOL_FULL,
                               "no host sees the device and another that it could copy to");
  std::vector<Devices> tried;
  for (const std::string& host : *hosts) {
    Devices targets = TargetsOf(state, pool, segment, device, host);
    if (targets.empty() || std::count(tried.begin(), tried.end(), targets) > 0) continue;
    absl::StatusOr<std::vector<Extent>> to = Reserve(pool, request, part, targets);
    if (to.ok()) {
      Place place{part.from, *std::move(to), host};
      CutToOneDevice(pool, place);
      return place;
    }
    why = to.status();
    tried.push_back(std::move(targets));
  }
  return why;
}

}  // namespace weft
