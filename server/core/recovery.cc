#include "server/core/recovery.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/core/events.h"
#include "server/core/grants.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/scrubs.h"
#include "server/core/strays.h"

namespace weft {
namespace {

// More than a cluster gives out of any number between a backup and its restore.
constexpr uint64_t kNumbersLeftOut = uint64_t{1} << 32;
// What no cluster reaches: a host that says so is wrong.
constexpr uint64_t kMaxEpoch = uint64_t{1} << 32;
// What one registration may bring in: it is one transaction.
constexpr int kMaxTakenOver = 24;
// How many grants one registration may be given anew, for the same reason.
constexpr int kMaxRenewed = 8;

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

bool HasGrant(const State& state, const v1::HeldGrant& held, const std::string& host) {
  return state.grants.contains({SegmentId(held.segment_id()), host});
}

// Nothing that this coordinator gives out may look older than what a host has.
void RaiseEpochAbove(State& state, const Token& token, Changes& changes) {
  const Token last{state.cluster.epoch(), state.cluster.last_token_counter()};
  if (token <= last || token.epoch >= kMaxEpoch) return;
  state.cluster.set_epoch(token.epoch + 1);
  PutCluster(state, changes);
}

absl::Status Unavailable(const std::string& message) {
  return MakeError(absl::StatusCode::kUnavailable, v1::RECOVERING, message);
}

// The device's free bytes are zeroed before anyone gets them.
void EndRecovery(State& state, const Context& context, const DeviceId& id, Changes& changes) {
  DeviceState& device = state.devices.at(id);
  device.record.mutable_device()->set_recovering(false);
  changes.Put(keys::Device(id), device.record);
  Emit(state, context, v1::DEVICE_RECOVERED, device.record.device().name(), "", "", changes);
  Allocator& allocator = PoolOfDevice(state, device).allocator;
  const std::vector<Extent> free = allocator.FreeExtents(id);
  for (const Extent& extent : free) {
    const absl::Status reserved = allocator.Reserve(extent);
    WEFT_CHECK(reserved.ok(), reserved.ToString());
  }
  UpdateAllocatable(state, id);
  if (!free.empty()) StartScrub(state, context, id, free, changes);
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
  const auto host = state.hosts.find(request.host_id());
  const bool continues = host != state.hosts.end() && host->second.session.has_value();
  const bool takes_grants = !continues && SeesRecovering(state, request);
  int taken_over = 0;
  for (const v1::HeldGrant& held : request.held()) {
    if (HasGrant(state, held, request.host_id())) continue;
    const SegmentId id(held.segment_id());
    const bool is_stray = IsStray(state, id);
    // One that is not known and no stray was deleted, and cannot be mapped.
    const bool is_grant = takes_grants && state.segment_by_id.contains(id);
    if (!is_stray && !is_grant) continue;
    if (++taken_over > kMaxTakenOver) {
      return Unavailable(absl::StrCat(request.host_id(), " holds over ", kMaxTakenOver,
                                      " segments that the backup does not grant it: end some of "
                                      "the programs that map them, or fence the host"));
    }
    if (is_stray) {
      if (absl::Status s = CheckStray(state, request.host_id(), held); !s.ok()) return s;
      continue;
    }
    const std::vector<std::string> holders = HoldersOf(state, id);
    const v1::Segment& segment = SegmentById(state, id).segment();
    if (holders.empty() || segment.sharing() == v1::SHARED) continue;
    return Unavailable(absl::StrCat(request.host_id(), " holds ", segment.name(),
                                    ", and by the backup ", absl::StrJoin(holders, ", "),
                                    " may: that has to register or to be fenced first"));
  }
  return absl::OkStatus();
}

void TakeHeld(State& state, const Context& context, const v1::Register& request, bool continues,
              Changes& changes) {
  const Token last{state.cluster.epoch(), state.cluster.last_token_counter()};
  for (const v1::HeldGrant& held : request.held()) {
    RaiseEpochAbove(state, FromProto(held.token()), changes);
  }
  DropStraysNotHeld(state, request, changes);
  const bool takes_grants = !continues && SeesRecovering(state, request);
  int renewed = 0;
  for (const v1::HeldGrant& held : request.held()) {
    const SegmentId id(held.segment_id());
    const v1::AccessMode mode = held.mode() == v1::READ_WRITE ? v1::READ_WRITE : v1::READ_ONLY;
    if (IsStray(state, id)) {
      TakeStray(state, context, request.host_id(), held, changes);
    } else if (HasGrant(state, held, request.host_id())) {
      // The host, and its kernel, would refuse what is older.
      const bool is_ahead = FromProto(held.token()) > last;
      if (!is_ahead || ++renewed > kMaxRenewed) continue;
      GrantHeld(state, context, id, request.host_id(), mode, changes);
    } else if (takes_grants && state.segment_by_id.contains(id)) {
      GrantHeld(state, context, id, request.host_id(), mode, changes);
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
