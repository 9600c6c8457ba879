#include "server/core/unrecorded.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"

namespace weft {
namespace {

// Whether `request` comes from the run of the daemon whose session is alive.
bool Continues(const HostState& host, const v1::Register& request) {
  return host.session.has_value() && host.record.host().boot_id() == request.boot_id() &&
         host.record.instance_id() == request.instance_id();
}

}  // namespace

Unrecorded UnrecordedOf(const State& state) {
  Unrecorded unrecorded;
  for (const auto& [id, host] : state.hosts) {
    if (!host.session.has_value()) continue;
    unrecorded.leases[id] = {host.record.host().session_id(), host.session->renewed_at};
  }
  for (const auto& [id, device] : state.devices) {
    if (!device.bad_on.empty()) unrecorded.bad_on[id] = device.bad_on;
  }
  return unrecorded;
}

void TakeOver(Unrecorded unrecorded, State& state) {
  for (const auto& [id, lease] : unrecorded.leases) {
    const auto host = state.hosts.find(id);
    if (host == state.hosts.end() || !host->second.session.has_value()) continue;
    if (host->second.record.host().session_id() != lease.session_id) continue;
    host->second.session->renewed_at = lease.renewed_at;
  }
  for (auto& [id, bad_on] : unrecorded.bad_on) {
    const auto device = state.devices.find(id);
    if (device != state.devices.end()) device->second.bad_on = std::move(bad_on);
  }
  // As if a transaction had been full before it came to the proofs and scrubs of any device.
  state.assigning_scrubs = true;
}

absl::StatusOr<v1::Registered> Resume(State& state, Now now, const v1::Register& request) {
  const auto it = state.hosts.find(request.host_id());
  if (it == state.hosts.end() || !Continues(it->second, request)) {
    return MakeError(absl::StatusCode::kResourceExhausted, v1::STORE_FULL,
                     absl::StrCat("the coordinator's store takes no changes now, and without one ",
                                  request.host_id(),
                                  " can only go on with the session of the weftd that runs there: "
                                  "make space for the store"));
  }
  it->second.session->renewed_at = now.monotonic;
  const v1::Host& host = it->second.record.host();
  v1::Registered registered;
  registered.set_session_id(host.session_id());
  registered.set_ttl_ms(host.ttl_ms());
  registered.set_revoke_bound_ms(host.revoke_bound_ms());
  registered.set_cluster_uuid(state.cluster.cluster_uuid());
  registered.set_coordinator_version(state.options.version);
  return registered;
}

}  // namespace weft
