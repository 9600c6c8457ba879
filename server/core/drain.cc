#include "server/core/drain.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/core/devices.h"
#include "server/core/errors.h"
#include "server/core/events.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/moves.h"
#include "server/core/recovery.h"
#include "server/core/scrubs.h"
#include "server/core/sessions.h"
#include "server/core/strays.h"

namespace weft {
namespace {

absl::Status InUse(const std::string& message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::IN_USE, message);
}

void SetDraining(State& state, const Context& context, const std::string& id, bool draining,
                 Changes& changes) {
  HostState& host = state.hosts.at(id);
  host.record.mutable_host()->set_draining(draining);
  changes.Put(keys::Host(id), host.record);
  Emit(state, context, draining ? v1::HOST_DRAIN_STARTED : v1::HOST_DRAIN_ENDED,
       host.record.host().name(), "", "", changes);
}

absl::Status CheckState(const v1::Device& device, v1::DeviceState wanted) {
  if (device.state() == wanted) return absl::OkStatus();
  return InUse(absl::StrCat(device.name(), " is ", v1::DeviceState_Name(device.state()), ", not ",
                            v1::DeviceState_Name(wanted)));
}

void SetDeviceState(State& state, const Context& context, const DeviceId& id, v1::DeviceState to,
                    v1::EventType event, Changes& changes) {
  DeviceState& device = state.devices.at(id);
  device.record.mutable_device()->set_state(to);
  UpdateAllocatable(state, id);
  changes.Put(keys::Device(id), device.record);
  Emit(state, context, event, device.record.device().name(), device.record.device().pool(), "",
       changes);
}

// The names of some segments that a DRAINING device still has.
std::string SomeLeft(const State& state, const DeviceState& device) {
  constexpr size_t kMost = 8;
  std::vector<std::string> names;
  for (const SegmentId segment : device.drain.left) {
    if (names.size() == kMost) break;
    const SegmentKey& key = state.segment_by_id.at(segment);
    names.push_back(absl::StrCat(key.first, "/", key.second));
  }
  return names.empty() ? "" : absl::StrCat(", of ", absl::StrJoin(names, ", "), " for instance");
}

absl::Status CheckRemovable(const State& state, const DeviceId& id) {
  if (absl::Status s = CheckNotRecovering(state, id); !s.ok()) return s;
  const DeviceState& device = state.devices.at(id);
  const v1::Device& record = device.record.device();
  // One that lost its contents takes no new extents either.
  if (record.state() != v1::DEVICE_LOST || record.pool().empty()) {
    if (absl::Status s = CheckState(record, v1::DEVICE_DRAINING); !s.ok()) return s;
  }
  if (device.used_bytes > 0) {
    return InUse(absl::StrCat(record.name(), " still has ", device.used_bytes, " bytes of segments",
                              SomeLeft(state, device), ": `weft device show ", id.ToString(),
                              "` says what keeps them"));
  }
  if (device.scrubbing_bytes > 0) {
    return InUse(absl::StrCat(record.name(), " has ", device.scrubbing_bytes,
                              " bytes that are still being scrubbed: try again later"));
  }
  return CheckNoStrays(state, id);
}

v1::Device ViewOf(const State& state, const DeviceId& id) {
  v1::GetDeviceRequest get;
  get.set_name(state.devices.at(id).record.device().name());
  return *GetDevice(state, get);
}

}  // namespace

absl::StatusOr<v1::Host> DrainHost(State& state, const Context& context,
                                   const v1::DrainHostRequest& request, Changes& changes) {
  absl::StatusOr<std::string> id = FindHost(state, request.name());
  if (!id.ok()) return id.status();
  HostState& host = state.hosts.at(*id);
  if (!host.record.host().draining()) {
    SetDraining(state, context, *id, true, changes);
    state.revoking_hosts.insert(*id);
  }
  return ViewOf(host, context.now);
}

absl::StatusOr<v1::Host> UndrainHost(State& state, const Context& context,
                                     const v1::UndrainHostRequest& request, Changes& changes) {
  absl::StatusOr<std::string> id = FindHost(state, request.name());
  if (!id.ok()) return id.status();
  HostState& host = state.hosts.at(*id);
  if (host.record.host().draining()) {
    SetDraining(state, context, *id, false, changes);
    state.revoking_hosts.erase(*id);
    AssignScrubsTo(state, context, *id, changes);
  }
  return ViewOf(host, context.now);
}

absl::Status CheckNotDraining(const State& state, const std::string& host) {
  if (!state.hosts.at(host).record.host().draining()) return absl::OkStatus();
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::DRAINING,
                   absl::StrCat(host,
                                " is being drained and gets nothing new: use another host, "
                                "or `weft host undrain ",
                                host, "`"));
}

absl::StatusOr<v1::Device> DrainDevice(State& state, const Context& context,
                                       const v1::DrainDeviceRequest& request, Changes& changes) {
  absl::StatusOr<DeviceId> id = FindDevice(state, request.name());
  if (!id.ok()) return id.status();
  const v1::Device& device = state.devices.at(*id).record.device();
  const bool again = device.state() == v1::DEVICE_DRAINING;
  if (!again) {
    if (absl::Status s = CheckState(device, v1::DEVICE_ACTIVE); !s.ok()) return s;
  }
  if (!again || device.drain_revokes() != request.revoke()) {
    state.devices.at(*id).record.mutable_device()->set_drain_revokes(request.revoke());
    SetDeviceState(state, context, *id, v1::DEVICE_DRAINING, v1::DEVICE_DRAIN_STARTED, changes);
  }
  EndDrain(state, *id);
  IndexDrain(state, *id);
  if (!again) TellIfDrained(state, context, *id, changes);
  StartMovesOff(state, context, *id, changes);
  return ViewOf(state, *id);
}

absl::StatusOr<v1::Device> UndrainDevice(State& state, const Context& context,
                                         const v1::UndrainDeviceRequest& request,
                                         Changes& changes) {
  absl::StatusOr<DeviceId> id = FindDevice(state, request.name());
  if (!id.ok()) return id.status();
  const v1::Device& device = state.devices.at(*id).record.device();
  if (device.state() != v1::DEVICE_ACTIVE) {
    if (absl::Status s = CheckState(device, v1::DEVICE_DRAINING); !s.ok()) return s;
    EndDrain(state, *id);
    state.devices.at(*id).record.mutable_device()->clear_drain_revokes();
    SetDeviceState(state, context, *id, v1::DEVICE_ACTIVE, v1::DEVICE_DRAIN_ENDED, changes);
  }
  return ViewOf(state, *id);
}

absl::StatusOr<v1::Device> RemoveDevice(State& state, const Context& context,
                                        const v1::RemoveDeviceRequest& request, Changes& changes) {
  absl::StatusOr<DeviceId> id = FindDevice(state, request.name());
  if (!id.ok()) return id.status();
  if (absl::Status s = CheckRemovable(state, *id); !s.ok()) return s;
  v1::Device& device = *state.devices.at(*id).record.mutable_device();
  const std::string pool = device.pool();
  UnassignFromPool(state, *id, changes);
  if (device.state() == v1::DEVICE_UNASSIGNED) device.set_state(v1::DEVICE_REMOVED);
  changes.Put(keys::Device(*id), state.devices.at(*id).record);
  Emit(state, context, v1::DEVICE_REMOVED_FROM_POOL, device.name(), pool, "", changes);
  return ViewOf(state, *id);
}

}  // namespace weft
