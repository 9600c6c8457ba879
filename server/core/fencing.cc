#include "server/core/fencing.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/backlog.h"
#include "server/core/copies.h"
#include "server/core/devices.h"
#include "server/core/errors.h"
#include "server/core/events.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/names.h"
#include "server/core/scrubs.h"
#include "server/core/sessions.h"
#include "server/core/strays.h"

namespace weft {
namespace {

// A part of what a host has.
struct Holdings {
  absl::btree_set<SegmentId> grants;
  absl::btree_set<uint64_t> scrubs;
  absl::btree_set<SegmentId> strays;

  bool empty() const { return grants.empty() && scrubs.empty() && strays.empty(); }
};

bool HasAgent(const State& state, const std::string& host) {
  return state.options.has_fence_agent && state.options.has_fence_agent(host);
}

bool WantsAgent(const PoolState& pool) { return pool.record.pool().fencing() == v1::AGENT; }

bool StrayWantsAgent(State& state, const store::v1::StrayRecord& stray) {
  for (const v1::Run& run : stray.runs()) {
    for (const v1::Extent& extent : run.extents()) {
      const auto device = state.devices.find(FromProto(extent).device);
      if (device == state.devices.end() || device->second.record.device().pool().empty()) continue;
      if (WantsAgent(PoolOfDevice(state, device->second))) return true;
    }
  }
  return false;
}

// What the host has, by whether its pool's policy asks for an agent.
struct Split {
  Holdings by_lease;
  Holdings by_agent;
};

Split SplitByPolicy(State& state, const HostState& host) {
  Split split;
  for (const SegmentId segment : host.grants) {
    if (host.releasing.contains(segment)) continue;
    const PoolState& pool = *state.pools.at(state.segment_by_id.at(segment).first);
    (WantsAgent(pool) ? split.by_agent : split.by_lease).grants.insert(segment);
  }
  for (const uint64_t scrub : host.scrubs) {
    const DeviceId device = FromProto(state.scrubs.at(scrub).extents(0)).device;
    const PoolState& pool = PoolOfDevice(state, state.devices.at(device));
    (WantsAgent(pool) ? split.by_agent : split.by_lease).scrubs.insert(scrub);
  }
  for (const SegmentId segment : host.strays) {
    const std::string id = *ParseHostName(host.record.host().name());
    if (state.leaving_strays.contains({segment, id})) continue;
    const bool agent = StrayWantsAgent(state, state.strays.at({segment, id}));
    (agent ? split.by_agent : split.by_lease).strays.insert(segment);
  }
  return split;
}

void Free(State& state, const Context& context, const std::string& host, const Holdings& what,
          Changes& changes) {
  StartReleasing(state, host, what.grants, changes);
  AbandonScrubs(state, context, what.scrubs, changes);
  StartDroppingStrays(state, host, what.strays, changes);
}

void StartFencing(State& state, const Context& context, const std::string& id,
                  const std::string& why, Changes& changes) {
  state.cluster.set_last_fence_id(state.cluster.last_fence_id() + 1);
  PutCluster(state, changes);
  HostState& host = state.hosts.at(id);
  host.record.mutable_host()->set_state(v1::HOST_FENCING);
  host.record.mutable_host()->mutable_fence()->set_id(state.cluster.last_fence_id());
  changes.Put(keys::Host(id), host.record);
  changes.fences[{id, state.cluster.last_fence_id()}] = true;
  Emit(state, context, v1::HOST_FENCE_STARTED, host.record.host().name(), "", why, changes);
}

void FinishFencing(State& state, const Context& context, const std::string& id,
                   const std::string& proof, Changes& changes) {
  HostState& host = state.hosts.at(id);
  if (host.record.host().has_fence()) changes.fences[{id, host.record.host().fence().id()}] = false;
  host.record.mutable_host()->set_state(v1::HOST_DOWN);
  host.record.mutable_host()->clear_fence();
  changes.Put(keys::Host(id), host.record);
  Emit(state, context, v1::HOST_FENCED, host.record.host().name(), "", proof, changes);
  FreeAll(state, context, id, changes);
}

absl::Status Refused(v1::Reason reason, const std::string& message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, reason, message);
}

absl::Status CheckMayFence(const State& state, const std::string& id,
                           const v1::FenceHostRequest& request) {
  const bool alive = IsAlive(state, id);
  if (request.confirm_powered_off()) {
    if (!alive) return absl::OkStatus();
    return Refused(v1::IN_USE, absl::StrCat(id, " is alive: its session is not over"));
  }
  if (!HasAgent(state, id)) {
    return Refused(v1::NO_FENCE_AGENT,
                   absl::StrCat("the coordinator has no fence agent for ", id,
                                ": see that it is powered off and confirm that with "
                                "--confirm-powered-off, or name one in --fence-config"));
  }
  if (alive && !request.force()) {
    return Refused(
        v1::IN_USE,
        absl::StrCat(id, " is alive: its session is not over; --force fences it anyway"));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<FenceOrder> FenceOrders(const State& state) {
  std::vector<FenceOrder> orders;
  for (const auto& [id, host] : state.hosts) {
    if (host.record.host().state() != v1::HOST_FENCING) continue;
    orders.push_back({id, host.record.host().fence().id()});
  }
  return orders;
}

void FreeAll(State& state, const Context& context, const std::string& id, Changes& changes) {
  const HostState& host = state.hosts.at(id);
  Free(state, context, id, {host.grants, host.scrubs, host.strays}, changes);
}

void SettleExpired(State& state, const Context& context, const std::string& id, Changes& changes) {
  HostState& host = state.hosts.at(id);
  const bool lets_go = host.record.host().can_revoke() || host.record.trust_expiry();
  const Split split = SplitByPolicy(state, host);
  const bool done = split.by_agent.empty() && (lets_go || split.by_lease.empty());
  host.record.mutable_host()->set_state(done ? v1::HOST_DOWN : v1::HOST_UNCERTAIN);
  changes.Put(keys::Host(id), host.record);
  Emit(state, context, v1::HOST_EXPIRED, host.record.host().name(), "",
       v1::HostState_Name(host.record.host().state()), changes);
  DetachAll(state, context, id, changes);
  StopCopiesOf(state, context, id, changes);
  if (lets_go) Free(state, context, id, split.by_lease, changes);
  if (!split.by_agent.empty() && HasAgent(state, id)) {
    StartFencing(state, context, id, "its session expired", changes);
  }
}

void TakeFenceResult(State& state, const Context& context, const FenceOrder& order,
                     const std::string& failure, Changes& changes) {
  const auto it = state.hosts.find(order.host);
  if (it == state.hosts.end()) return;
  v1::Host& host = *it->second.record.mutable_host();
  if (host.state() != v1::HOST_FENCING || host.fence().id() != order.fence_id) return;
  if (failure.empty()) {
    FinishFencing(state, context, order.host, "by its fence agent", changes);
    return;
  }
  v1::Fence& fence = *host.mutable_fence();
  const bool news = fence.last_error() != Clip(failure);
  fence.set_failures(fence.failures() + 1);
  fence.set_last_error(Clip(failure));
  changes.Put(keys::Host(order.host), it->second.record);
  if (!news) return;
  Emit(state, context, v1::HOST_FENCE_FAILED, host.name(), "", failure, changes);
}

absl::StatusOr<v1::Host> FenceHost(State& state, const Context& context,
                                   const v1::FenceHostRequest& request, Changes& changes) {
  absl::StatusOr<std::string> id = FindHost(state, request.name());
  if (!id.ok()) return id.status();
  if (absl::Status s = CheckMayFence(state, *id, request); !s.ok()) return s;
  HostState& host = state.hosts.at(*id);
  if (request.confirm_powered_off()) {
    FinishFencing(state, context, *id, "confirmed by hand", changes);
  } else if (host.record.host().state() != v1::HOST_FENCING) {
    host.session.reset();
    StartFencing(state, context, *id, "asked for by hand", changes);
    DetachAll(state, context, *id, changes);
    StopCopiesOf(state, context, *id, changes);
  }
  return ViewOf(host, context.now);
}

}  // namespace weft
