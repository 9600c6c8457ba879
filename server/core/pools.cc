#include "server/core/pools.h"

#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/core/devices.h"
#include "server/core/errors.h"
#include "server/core/events.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/names.h"
#include "server/core/paging.h"
#include "server/core/recovery.h"
#include "server/core/strays.h"

namespace weft {
namespace {

constexpr int kMaxDevicesPerPool = 64;
constexpr uint32_t kMaxRevokeGraceMs = 3'600'000;

absl::Status BadArgument(const std::string& message) {
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT, message);
}

absl::Status InUse(const std::string& message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::IN_USE, message);
}

absl::Status CheckPolicy(const v1::Pool& pool) {
  if (!v1::Placement_IsValid(pool.default_placement()) || pool.default_placement() == v1::STRIPED) {
    return BadArgument(
        "default_placement must be PACK, SPREAD or LOCAL: a striped segment says so itself, with "
        "its stripe");
  }
  if (!v1::FencingPolicy_IsValid(pool.fencing())) return BadArgument("fencing is not a policy");
  if (pool.revoke_grace_ms() > kMaxRevokeGraceMs) {
    return BadArgument(absl::StrCat("revoke_grace_ms is ", pool.revoke_grace_ms(), "; at most ",
                                    kMaxRevokeGraceMs, " (one hour)"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<DeviceId>> CheckDevices(const State& state,
                                                   const v1::CreatePoolRequest& request) {
  if (request.devices_size() > kMaxDevicesPerPool) {
    return BadArgument(absl::StrCat("a pool has at most ", kMaxDevicesPerPool, " devices, not ",
                                    request.devices_size()));
  }
  std::vector<DeviceId> devices;
  std::set<DeviceId> seen;
  for (const std::string& name : request.devices()) {
    absl::StatusOr<DeviceId> device = FindDevice(state, name);
    if (!device.ok()) return device.status();
    if (!seen.insert(*device).second) return BadArgument(absl::StrCat(name, " comes twice"));
    if (absl::Status s = CheckAssignable(state, *device); !s.ok()) return s;
    devices.push_back(*device);
  }
  return devices;
}

v1::Pool View(const State& state, const PoolState& pool) {
  v1::Pool view = pool.record.pool();
  *view.mutable_usage() = UsageOf(state, pool);
  return view;
}

std::string IdOf(const PoolState& pool) { return *ParsePoolName(pool.record.pool().name()); }

}  // namespace

v1::Usage UsageOf(const State& state, const PoolState& pool) {
  v1::Usage usage;
  const FreeStats free = pool.allocator.pool_stats();
  usage.set_largest_free_bytes(free.largest.value());
  usage.set_free_extents(free.extents);
  for (const DeviceId& id : pool.devices) {
    const DeviceState& device = state.devices.at(id);
    usage.set_capacity_bytes(usage.capacity_bytes() + device.record.device().data_bytes());
    const uint64_t not_taken = pool.allocator.device_stats(id).free.value();
    if (device.record.device().state() == v1::DEVICE_LOST) {
      usage.set_quarantined_bytes(usage.quarantined_bytes() + not_taken);
    } else if (device.record.device().recovering()) {
      usage.set_scrubbing_bytes(usage.scrubbing_bytes() + not_taken);
    } else {
      usage.set_free_bytes(usage.free_bytes() + not_taken);
    }
    usage.set_used_bytes(usage.used_bytes() + device.used_bytes);
    usage.set_scrubbing_bytes(usage.scrubbing_bytes() + device.scrubbing_bytes);
    usage.set_quarantined_bytes(usage.quarantined_bytes() + TotalOf(device.quarantined).value() +
                                TotalOf(device.strayed).value());
  }
  usage.set_segments(pool.segments);
  usage.set_devices(pool.devices.size());
  return usage;
}

absl::StatusOr<v1::Pool> CreatePool(State& state, const Context& context,
                                    const v1::CreatePoolRequest& request, Changes& changes) {
  if (absl::Status s = CheckId("pool", request.pool_id()); !s.ok()) return s;
  if (state.pools.contains(request.pool_id())) {
    return MakeError(absl::StatusCode::kAlreadyExists, v1::ALREADY_EXISTS,
                     absl::StrCat("there is a pool \"", request.pool_id(), "\" already"));
  }
  if (absl::Status s = CheckPolicy(request.pool()); !s.ok()) return s;
  absl::StatusOr<std::vector<DeviceId>> devices = CheckDevices(state, request);
  if (!devices.ok()) return devices.status();

  auto pool = std::make_unique<PoolState>();
  v1::Pool& record = *pool->record.mutable_pool();
  record.set_name(FormatPoolName(request.pool_id()));
  record.set_uuid(state.options.random_uuid().ToString());
  const v1::Pool& asked = request.pool();
  record.set_default_placement(asked.default_placement() == v1::PLACEMENT_UNSPECIFIED
                                   ? v1::PACK
                                   : asked.default_placement());
  record.set_fencing(asked.fencing() == v1::FENCING_POLICY_UNSPECIFIED ? v1::LEASE
                                                                       : asked.fencing());
  record.set_revoke_grace_ms(asked.revoke_grace_ms());
  record.set_create_time_unix_ms(context.now.unix_ms);
  changes.Put(keys::Pool(request.pool_id()), pool->record);
  state.pool_by_uuid[record.uuid()] = request.pool_id();
  PoolState& created = *(state.pools[request.pool_id()] = std::move(pool));
  Emit(state, context, v1::POOL_CREATED, record.name(), "", "", changes);
  for (const DeviceId& device : *devices) {
    AssignToPool(state, context, device, request.pool_id(), changes);
  }
  return View(state, created);
}

absl::Status DeletePool(State& state, const Context& context, const v1::DeletePoolRequest& request,
                        Changes& changes) {
  absl::StatusOr<PoolState*> pool = FindPool(state, request.name());
  if (!pool.ok()) return pool.status();
  const std::string name = (*pool)->record.pool().name();
  if (absl::Status s = CheckNotRecovering(state, **pool); !s.ok()) return Annotate(s, name);
  if ((*pool)->segments > 0) {
    return InUse(absl::StrCat(name, " has ", (*pool)->segments, " segments: delete them first"));
  }
  const uint64_t scrubbing = UsageOf(state, **pool).scrubbing_bytes();
  if (scrubbing > 0) {
    return InUse(absl::StrCat(name, " has ", scrubbing,
                              " bytes that are still being scrubbed: try again later"));
  }
  const absl::btree_set<DeviceId> devices = (*pool)->devices;
  for (const DeviceId& device : devices) {
    if (absl::Status s = CheckNoStrays(state, device); !s.ok()) return s;
  }
  for (const DeviceId& device : devices) UnassignFromPool(state, device, changes);
  const std::string id = IdOf(**pool);
  Emit(state, context, v1::POOL_DELETED, name, "", "", changes);
  changes.Delete(keys::Pool(id));
  state.pool_by_uuid.erase((*pool)->record.pool().uuid());
  state.pools.erase(id);
  return absl::OkStatus();
}

absl::StatusOr<v1::Pool> AddDevice(State& state, const Context& context,
                                   const v1::AddDeviceRequest& request, Changes& changes) {
  absl::StatusOr<PoolState*> pool = FindPool(state, request.pool());
  if (!pool.ok()) return pool.status();
  absl::StatusOr<DeviceId> device = FindDevice(state, request.device());
  if (!device.ok()) return device.status();
  if (absl::Status s = CheckAssignable(state, *device); !s.ok()) return s;
  if ((*pool)->devices.size() >= kMaxDevicesPerPool) {
    return MakeError(absl::StatusCode::kResourceExhausted, v1::QUOTA,
                     absl::StrCat(request.pool(), " has ", kMaxDevicesPerPool,
                                  " devices, the most a pool can have"));
  }
  AssignToPool(state, context, *device, IdOf(**pool), changes);
  return View(state, **pool);
}

absl::StatusOr<v1::Pool> GetPool(const State& state, const v1::GetPoolRequest& request) {
  absl::StatusOr<PoolState*> pool = FindPool(state, request.name());
  if (!pool.ok()) return pool.status();
  return View(state, **pool);
}

absl::StatusOr<v1::ListPoolsResponse> ListPools(const State& state,
                                                const v1::ListPoolsRequest& request) {
  std::string last;
  if (absl::Status s = DecodePageToken(request.page_token(), &last); !s.ok()) return s;
  v1::ListPoolsResponse response;
  const int32_t page_size = PageSize(request.page_size());
  for (auto it = state.pools.upper_bound(last); it != state.pools.end(); ++it) {
    if (response.pools_size() == page_size) {
      response.set_next_page_token(EncodePageToken(std::prev(it)->first));
      break;
    }
    *response.add_pools() = View(state, *it->second);
  }
  return response;
}

}  // namespace weft
