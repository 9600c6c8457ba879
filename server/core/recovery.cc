#include "server/core/recovery.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/core/backlog.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/core/events.h"
#include "server/core/grants.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/names.h"
#include "server/core/scrubs.h"
#include "server/core/strays.h"

namespace weft {
namespace {

// More than a cluster gives out of any number between a backup and its restore.
constexpr uint64_t kNumbersLeftOut = uint64_t{1} << 32;
// What no cluster reaches: a host that says so is wrong.
constexpr uint64_t kMaxEpoch = uint64_t{1} << 32;
// What one registration may bring in: it is one transaction. A grant is one mutation, or three with
// its event; a stray is described at length.
constexpr int kMaxTakenMutations = 1536;
constexpr size_t kMaxStrayBytes = size_t{384} << 10;

void LeaveOutNumbers(store::v1::ClusterRecord& cluster) {
  cluster.set_epoch(cluster.epoch() + 1);
  constexpr int kMostRestores = 32;
  if (cluster.lost_segment_ids_size() == kMostRestores) {
    // Joined with the next one: what was deleted between counts as lost too.
    cluster.mutable_lost_segment_ids(1)->set_first(cluster.lost_segment_ids(0).first());
    cluster.mutable_lost_segment_ids()->DeleteSubrange(0, 1);
  }
  store::v1::IdRange& lost = *cluster.add_lost_segment_ids();
  lost.set_first(cluster.last_segment_id() + 1);
  lost.set_last(cluster.last_segment_id() + kNumbersLeftOut);
  cluster.set_last_segment_id(cluster.last_segment_id() + kNumbersLeftOut);
  cluster.set_last_session_number(cluster.last_session_number() + kNumbersLeftOut);
  cluster.set_last_scrub_id(cluster.last_scrub_id() + kNumbersLeftOut);
  cluster.set_last_exchange_step_id(cluster.last_exchange_step_id() + kNumbersLeftOut);
  cluster.set_last_fence_id(cluster.last_fence_id() + kNumbersLeftOut);
  cluster.set_revision(cluster.revision() + kNumbersLeftOut);
}

void DistrustHosts(State& state) {
  for (auto& [id, host] : state.hosts) {
    host.record.clear_releasing_segments();
    host.record.mutable_host()->set_state(v1::HOST_UNCERTAIN);
    host.record.mutable_host()->clear_fence();
  }
}

void DistrustDevices(State& state) {
  for (auto& [id, device] : state.devices) {
    // Whoever proved itself since left another nonce there.
    device.record.clear_last_nonce();
    for (auto& [host, attachment] : device.attachments) {
      attachment.mutable_attachment()->set_state(v1::ATTACHMENT_CHALLENGING);
      attachment.mutable_attachment()->clear_detail();
    }
    const bool in_pool = !device.record.device().pool().empty();
    const bool lost = device.record.device().state() == v1::DEVICE_LOST;
    device.record.mutable_device()->set_recovering(in_pool && !lost);
  }
}

absl::Status Recovering(const std::string& what, const std::vector<std::string>& hosts) {
  return MakeError(
      absl::StatusCode::kUnavailable, v1::RECOVERING,
      absl::StrCat(what, " is in recovery after a restore from a backup: it waits for ",
                   absl::StrJoin(hosts, ", "), " to register, or to be fenced"));
}

// A host may still do what the coordinator does not know of.
bool IsAwaited(const HostState& host) {
  const v1::HostState state = host.record.host().state();
  return state == v1::HOST_UNCERTAIN || state == v1::HOST_FENCING;
}

bool SeesRecovering(const State& state, const v1::Register& request) {
  return std::any_of(request.devices().devices().begin(), request.devices().devices().end(),
                     [&](const v1::LocalDevice& local) {
                       const auto it = state.devices.find(*Uuid::Parse(local.uuid()));
                       return it != state.devices.end() && it->second.record.device().recovering();
                     });
}

// Whether the host has, and the records have not, this grant: they have an earlier one, or none
// while the host `brings` such.
bool IsUnrecorded(const State& state, const std::string& host, const v1::HeldGrant& held,
                  bool brings) {
  const SegmentId id(held.segment_id());
  // One that is not known and no stray was deleted, and cannot be mapped.
  if (!state.segment_by_id.contains(id)) return false;
  const auto recorded = state.grants.find({id, host});
  if (recorded == state.grants.end()) return brings;
  return FromProto(held.token()) > FromProto(recorded->second.grant().token());
}

bool BringsGrants(const State& state, const v1::Register& request, bool continues) {
  return !continues && SeesRecovering(state, request);
}

// Nothing that this coordinator gives out may look older than what a host has.
void RaiseEpochAbove(State& state, const Token& token, Changes& changes) {
  const Token last{state.cluster.epoch(), state.cluster.last_token_counter()};
  if (token <= last) return;
  state.cluster.set_epoch(token.epoch + 1);
  PutCluster(state, changes);
}

absl::Status Unavailable(const std::string& message) {
  return MakeError(absl::StatusCode::kUnavailable, v1::RECOVERING, message);
}

// UNAVAILABLE RECOVERING: another host was confirmed, since the restore, what excludes `held`.
absl::Status CheckGrant(const State& state, const std::string& host, const v1::HeldGrant& held) {
  const SegmentId id(held.segment_id());
  const v1::Grant* const other = FindExcluding(state, id, host, ModeOf(held));
  if (other == nullptr || FromProto(other->token()) > FromProto(held.token())) {
    return absl::OkStatus();
  }
  if (IsAwaited(state.hosts.at(*ParseHostName(other->host())))) return absl::OkStatus();
  return Unavailable(absl::StrCat(host, " holds ", other->segment(), ", and so does ",
                                  other->host(),
                                  ", which came back first: close it there, or "
                                  "fence it"));
}

// Records what the host has of a segment, if it is not over.
void TakeGrant(State& state, const Context& context, const std::string& host,
               const v1::HeldGrant& held, Changes& changes) {
  const SegmentId id(held.segment_id());
  const v1::Grant* const other = FindExcluding(state, id, host, ModeOf(held));
  if (other != nullptr) {
    const bool is_over = FromProto(other->token()) > FromProto(held.token());
    const std::string loser = is_over ? host : *ParseHostName(other->host());
    if (state.grants.contains({id, loser})) StartReleasing(state, loser, {id}, changes);
    if (is_over) return;
  }
  GrantHeld(state, context, host, held, changes);
}

// A part of the device's free bytes is to be zeroed before anyone gets it; with the last part the
// recovery is over.
void EndRecovery(State& state, const Context& context, const DeviceId& id, Changes& changes) {
  DeviceState& device = state.devices.at(id);
  Allocator& allocator = PoolOfDevice(state, device).allocator;
  const std::vector<Extent> free = allocator.FreeExtents(id, kMaxScrubExtents);
  for (const Extent& extent : free) {
    const absl::Status reserved = allocator.Reserve(extent);
    WEFT_CHECK(reserved.ok(), reserved.ToString());
  }
  if (!free.empty()) StartScrub(state, context, id, free, changes);
  if (free.size() == kMaxScrubExtents) return;
  device.record.mutable_device()->set_recovering(false);
  changes.Put(keys::Device(id), device.record);
  Emit(state, context, v1::DEVICE_RECOVERED, device.record.device().name(), "", "", changes);
  UpdateAllocatable(state, id);
  AssignScrubs(state, context, id, changes);
}

}  // namespace

void PrepareRestored(State& state, const Context& context) {
  LeaveOutNumbers(state.cluster);
  // Their bytes may have been zeroed and given out since.
  state.scrubs.clear();
  state.copies.clear();
  // Their hosts bring them in again.
  state.strays.clear();
  DistrustHosts(state);
  DistrustDevices(state);
  state.events.clear();
  Changes unheard;
  Emit(state, context, v1::CLUSTER_RESTORED, "", "", absl::StrCat("epoch ", state.cluster.epoch()),
       unheard);
}

bool IsRecovering(const State& state, const DeviceId& device) {
  return state.devices.at(device).record.device().recovering();
}

std::vector<std::string> AwaitedHosts(const State& state, const DeviceId& device) {
  std::vector<std::string> hosts;
  for (const auto& [host, attachment] : state.devices.at(device).attachments) {
    if (IsAwaited(state.hosts.at(host))) hosts.push_back(host);
  }
  return hosts;
}

absl::Status CheckNotRecovering(const State& state, const DeviceId& device) {
  if (!IsRecovering(state, device)) return absl::OkStatus();
  return Recovering(absl::StrCat("device ", device.ToString()), AwaitedHosts(state, device));
}

absl::Status CheckNotRecovering(const State& state, const v1::Segment& segment) {
  for (const Extent& extent : ExtentsOf(segment)) {
    if (absl::Status s = CheckNotRecovering(state, extent.device); !s.ok()) {
      return Annotate(s, segment.name());
    }
  }
  return absl::OkStatus();
}

absl::Status CheckNotRecovering(const State& state, const PoolState& pool) {
  for (const DeviceId& device : pool.devices) {
    if (absl::Status s = CheckNotRecovering(state, device); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status CheckHeld(const State& state, const v1::Register& request) {
  const std::string& id = request.host_id();
  const auto host = state.hosts.find(id);
  const bool continues = host != state.hosts.end() && host->second.session.has_value();
  const bool brings = BringsGrants(state, request, continues);
  int mutations = 0;
  size_t stray_bytes = 0;
  for (const v1::HeldGrant& held : request.held()) {
    if (held.token().epoch() >= kMaxEpoch) {
      return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                       absl::StrCat(id, " holds segment ", held.segment_id(), " under epoch ",
                                    held.token().epoch(), ", which no cluster has"));
    }
    const SegmentId segment(held.segment_id());
    if (IsStray(state, segment)) {
      if (state.strays.contains({segment, id})) continue;
      if (absl::Status s = CheckStray(state, id, held); !s.ok()) return s;
      stray_bytes += held.ByteSizeLong();
      mutations += 3;
    } else if (IsUnrecorded(state, id, held, brings)) {
      if (absl::Status s = CheckGrant(state, id, held); !s.ok()) return s;
      const auto recorded = state.grants.find({segment, id});
      const bool same_mode =
          recorded != state.grants.end() && recorded->second.grant().mode() == ModeOf(held);
      mutations += same_mode ? 1 : 3;
    }
    if (mutations > kMaxTakenMutations || stray_bytes > kMaxStrayBytes) {
      return Unavailable(absl::StrCat(id,
                                      " holds more that the backup does not know of than can "
                                      "be brought in: end some of the programs that map it, or "
                                      "fence the host"));
    }
  }
  return absl::OkStatus();
}

void TakeHeld(State& state, const Context& context, const v1::Register& request, bool continues,
              Changes& changes) {
  const std::string& host = request.host_id();
  for (const v1::HeldGrant& held : request.held()) {
    RaiseEpochAbove(state, FromProto(held.token()), changes);
  }
  DropStraysNotHeld(state, request, changes);
  const bool brings = BringsGrants(state, request, continues);
  for (const v1::HeldGrant& held : request.held()) {
    if (IsStray(state, SegmentId(held.segment_id()))) {
      TakeStray(state, context, host, held, changes);
    } else if (IsUnrecorded(state, host, held, brings)) {
      TakeGrant(state, context, host, held, changes);
    }
  }
}

bool EndOneRecovery(State& state, const Context& context, Changes& changes) {
  for (const auto& [id, device] : state.devices) {
    if (!device.record.device().recovering() || !AwaitedHosts(state, id).empty()) continue;
    EndRecovery(state, context, id, changes);
    return true;
  }
  return false;
}

void UpdateAllocatable(State& state, const DeviceId& id) {
  DeviceState& device = state.devices.at(id);
  const v1::Device& record = device.record.device();
  PoolOfDevice(state, device)
      .allocator.SetAllocatable(id, record.state() == v1::DEVICE_ACTIVE && !record.recovering());
}

}  // namespace weft
