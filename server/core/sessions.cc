#include "server/core/sessions.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/backlog.h"
#include "server/core/copies.h"
#include "server/core/devices.h"
#include "server/core/errors.h"
#include "server/core/events.h"
#include "server/core/fencing.h"
#include "server/core/grants.h"
#include "server/core/inventory.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/names.h"
#include "server/core/paging.h"
#include "server/core/recovery.h"
#include "server/core/requests.h"
#include "server/core/scrubs.h"
#include "server/core/strays.h"

namespace weft {
namespace {

constexpr uint32_t kMaxRevokeBoundMs = 600'000;
constexpr size_t kMaxRequestsForgottenAtOnce = 64;
constexpr absl::Duration kLongestTickInterval = absl::Seconds(1);

absl::Status Precondition(v1::Reason reason, const std::string& message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, reason, message);
}

// (T + B) and 1000 ppm for how much faster than the host's this clock may run.
absl::Duration LeaseOf(const v1::Host& host) {
  const absl::Duration sum =
      absl::Milliseconds(host.ttl_ms()) + absl::Milliseconds(host.revoke_bound_ms());
  return sum + sum / 1000;
}

absl::Duration ExpiryOf(const HostState& host) {
  return host.session->renewed_at + LeaseOf(host.record.host());
}

absl::Status CheckRegister(const State& state, const v1::Register& request) {
  if (request.protocol_version() > kSessionProtocolVersion) {
    return Precondition(v1::VERSION_TOO_NEW,
                        absl::StrCat("weftd ", request.weftd_version(), " speaks session protocol ",
                                     request.protocol_version(), " and this coordinator only ",
                                     kSessionProtocolVersion, ": upgrade the coordinator first"));
  }
  if (absl::Status s = CheckId("host", request.host_id()); !s.ok()) return s;
  const bool has_ids = !request.boot_id().empty() && !request.instance_id().empty();
  const bool has_backend =
      v1::Backend_IsValid(request.backend()) && request.backend() != v1::BACKEND_UNSPECIFIED;
  const bool may_trust = !request.trust_expiry() || request.backend() == v1::EMULATED;
  if (request.protocol_version() == 0 || !has_ids || !has_backend || !may_trust ||
      request.revoke_bound_ms() > kMaxRevokeBoundMs) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                     absl::StrCat("the registration of ", request.host_id(),
                                  " lacks its protocol version, boot id, instance id or backend, "
                                  "trusts expiry without the emulated backend, or has a revoke "
                                  "bound over ten minutes"));
  }
  for (const std::string* text : {&request.boot_id(), &request.instance_id(),
                                  &request.weftd_version(), &request.metrics_address()}) {
    if (text->size() > kMaxTextLength) {
      return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                       absl::StrCat("the registration of ", request.host_id(), " has a text of ",
                                    text->size(), " bytes; at most ", kMaxTextLength));
    }
  }
  return CheckInventory(state, request.devices());
}

absl::Status CheckMayRegister(const HostState& host, const v1::Register& request) {
  if (host.record.host().state() == v1::HOST_FENCING) {
    return Precondition(v1::FENCED,
                        absl::StrCat(request.host_id(),
                                     " is being fenced: it can register when its fence agent has "
                                     "succeeded; `weft host show ",
                                     request.host_id(), "` says what keeps it"));
  }
  if (host.session.has_value() && host.record.host().boot_id() != request.boot_id()) {
    return Precondition(
        v1::IN_USE,
        absl::StrCat("a machine with boot id ", host.record.host().boot_id(), " is ",
                     request.host_id(),
                     " now. If this one is the same after a reboot, it can "
                     "register when the lease ends; otherwise give it another host id"));
  }
  return absl::OkStatus();
}

// The host came back after its session had expired and says what it still maps: the rest
// it let go of. What it maps under an older token, because the reply with the newer one was
// lost, it maps all the same.
void KeepOnlyHeld(State& state, const std::string& id, const v1::Register& request,
                  Changes& changes) {
  absl::btree_set<SegmentId> held;
  for (const v1::HeldGrant& grant : request.held()) held.insert(SegmentId(grant.segment_id()));
  absl::btree_set<SegmentId> let_go;
  for (const SegmentId segment : state.hosts.at(id).grants) {
    if (!held.contains(segment)) let_go.insert(segment);
  }
  StartReleasing(state, id, let_go, changes);
}

void NameSession(State& state, HostState& host, Changes& changes) {
  state.cluster.set_last_session_number(state.cluster.last_session_number() + 1);
  PutCluster(state, changes);
  host.record.mutable_host()->set_session_id(
      absl::StrCat(state.cluster.epoch(), ".", state.cluster.last_session_number()));
}

void BeginSession(State& state, const Context& context, const std::string& id,
                  const v1::Register& request, Changes& changes) {
  HostState& host = state.hosts.at(id);
  const bool rebooted = host.record.host().boot_id() != request.boot_id();
  NameSession(state, host, changes);
  host.record.mutable_host()->set_state(v1::HOST_ALIVE);
  host.session = LiveSession{context.now.monotonic};
  if (rebooted) {
    FreeAll(state, context, id, changes);
  } else {
    KeepOnlyHeld(state, id, request, changes);
    // A host's own writes stop at its deadline, and that is long past.
    AbandonScrubs(state, context, host.scrubs, changes);
  }
}

void FillHost(const CoreOptions& options, const v1::Register& request,
              store::v1::HostRecord& record) {
  v1::Host& host = *record.mutable_host();
  host.set_name(FormatHostName(request.host_id()));
  host.set_backend(request.backend());
  host.set_can_revoke(request.can_revoke());
  host.set_boot_id(request.boot_id());
  host.set_weftd_version(request.weftd_version());
  host.set_ttl_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(options.session_ttl)));
  host.set_revoke_bound_ms(request.revoke_bound_ms());
  host.set_metrics_address(request.metrics_address());
  record.set_trust_expiry(request.trust_expiry());
  record.set_instance_id(request.instance_id());
}

// The lease that was promised goes on: if this reply is lost, the host still counts on it.
void KeepTerms(const v1::Host& before, v1::Host& host) {
  host.set_ttl_ms(before.ttl_ms());
  host.set_revoke_bound_ms(std::max(before.revoke_bound_ms(), host.revoke_bound_ms()));
}

// What clients mapped through a backend that cannot take it back stays mapped whatever the
// new daemon's backend can do.
void KeepDistrust(const store::v1::HostRecord& before, store::v1::HostRecord& record) {
  v1::Host& host = *record.mutable_host();
  host.set_can_revoke(host.can_revoke() && before.host().can_revoke());
  record.set_trust_expiry(record.trust_expiry() && before.trust_expiry());
}

}  // namespace

absl::StatusOr<v1::Registered> Register(State& state, const Context& context,
                                        const v1::Register& request, Changes& changes) {
  if (absl::Status s = CheckRegister(state, request); !s.ok()) return s;
  const std::string& id = request.host_id();
  if (auto it = state.hosts.find(id); it != state.hosts.end()) {
    if (absl::Status s = CheckMayRegister(it->second, request); !s.ok()) return s;
  } else if (state.hosts.size() >= state.options.max_hosts) {
    return MakeError(absl::StatusCode::kResourceExhausted, v1::QUOTA,
                     absl::StrCat("the cluster knows ", state.hosts.size(),
                                  " hosts, the most it can: give a new machine the id of one "
                                  "that is gone"));
  }
  if (absl::Status s = CheckHeld(state, request); !s.ok()) return s;
  HostState& host = state.hosts[id];
  const bool new_instance = host.record.instance_id() != request.instance_id();
  const bool continues = host.session.has_value();
  if (continues) {
    host.session->renewed_at = context.now.monotonic;
    // What the run before sent, and comes late, is not to end or change what this one uses.
    if (new_instance) NameSession(state, host, changes);
  } else {
    BeginSession(state, context, id, request, changes);
  }
  const store::v1::HostRecord before = host.record;
  FillHost(state.options, request, host.record);
  if (continues) KeepTerms(before.host(), *host.record.mutable_host());
  const bool may_map = host.grants.size() > host.releasing.size() || !host.strays.empty();
  if (may_map) KeepDistrust(before, host.record);
  changes.Put(keys::Host(id), host.record);
  if (!continues || new_instance) {
    Emit(state, context, v1::HOST_REGISTERED, host.record.host().name(), "",
         absl::StrCat("weftd ", request.weftd_version(), ", ", v1::Backend_Name(request.backend())),
         changes);
  }
  TakeInventory(state, context, id, request.devices(), !continues || new_instance, changes);
  TakeHeld(state, context, request, continues, changes);

  v1::Registered registered;
  registered.set_session_id(host.record.host().session_id());
  registered.set_ttl_ms(host.record.host().ttl_ms());
  registered.set_revoke_bound_ms(host.record.host().revoke_bound_ms());
  registered.set_cluster_uuid(state.cluster.cluster_uuid());
  registered.set_coordinator_version(state.options.version);
  return registered;
}

absl::Status CheckSession(const State& state, const std::string& host,
                          std::string_view session_id) {
  auto it = state.hosts.find(host);
  if (it != state.hosts.end() && it->second.session.has_value() &&
      it->second.record.host().session_id() == session_id) {
    return absl::OkStatus();
  }
  return Precondition(v1::SESSION_EXPIRED,
                      absl::StrCat("session \"", std::string(session_id), "\" of ", host,
                                   " is over: register again"));
}

absl::Status Renew(State& state, Now now, const std::string& host, std::string_view session_id) {
  if (absl::Status s = CheckSession(state, host, session_id); !s.ok()) return s;
  state.hosts.at(host).session->renewed_at = now.monotonic;
  return absl::OkStatus();
}

absl::Status TakeReport(State& state, const Context& context, const std::string& host,
                        std::string_view session_id, const v1::NodeMessage& message,
                        Changes& changes) {
  if (absl::Status s = CheckSession(state, host, session_id); !s.ok()) return s;
  switch (message.message_case()) {
    case v1::NodeMessage::kDevices:
      if (absl::Status s = CheckInventory(state, message.devices()); !s.ok()) return s;
      TakeInventory(state, context, host, message.devices(), /*prove_again=*/false, changes);
      return absl::OkStatus();
    case v1::NodeMessage::kScrubProgress:
      TakeScrubProgress(state, context, host, message.scrub_progress(), changes);
      return absl::OkStatus();
    case v1::NodeMessage::kCopyProgress:
      TakeCopyProgress(state, context, host, message.copy_progress(), changes);
      return absl::OkStatus();
    case v1::NodeMessage::kExchangeResult:
      TakeExchangeResult(state, context, host, message.exchange_result(), changes);
      return absl::OkStatus();
    case v1::NodeMessage::kLabelWritten:
      TakeLabelWritten(state, context, host, message.label_written(), changes);
      return absl::OkStatus();
    case v1::NodeMessage::kDeviceRefused:
      TakeDeviceRefused(state, context, host, message.device_refused(), changes);
      return absl::OkStatus();
    case v1::NodeMessage::MESSAGE_NOT_SET:
      return absl::OkStatus();  // of a newer weftd
    default:
      return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                       "a session has one Register, at its start, and then renewals and reports");
  }
}

v1::Assignments WholeAssignments(const State& state, const std::string& host) {
  v1::Assignments assignments;
  assignments.set_whole(true);
  assignments.set_revision(state.cluster.revision());
  AppendGrantAssignments(state, host, assignments);
  AppendStrayAssignments(state, host, assignments);
  AppendScrubAssignments(state, host, assignments);
  AppendDeviceAssignments(state, host, assignments);
  return assignments;
}

absl::Duration Tick(State& state, const Context& context, Changes& changes) {
  ForgetOldRequests(state, context, kMaxRequestsForgottenAtOnce, changes);
  const bool recovered = EndOneRecovery(state, context, changes);
  const bool more = WorkOffBacklog(state, context, changes) || recovered;
  absl::Duration first =
      EndOverdueProofs(state, context, context.now.monotonic + kLongestTickInterval, changes);
  std::string overdue;
  for (const auto& [id, host] : state.hosts) {
    if (!host.session.has_value()) continue;
    const absl::Duration expiry = ExpiryOf(host);
    if (expiry < first) {
      first = expiry;
      overdue = id;
    }
  }
  if (overdue.empty() || first > context.now.monotonic) {
    return more ? context.now.monotonic : first;
  }
  state.hosts.at(overdue).session.reset();
  SettleExpired(state, context, overdue, changes);
  return context.now.monotonic;
}

v1::Host ViewOf(const HostState& host, Now now) {
  v1::Host view = host.record.host();
  view.set_grants(host.grants.size() - host.releasing.size());
  view.set_scrubs(host.scrubs.size());
  if (host.session.has_value()) {
    view.set_renewal_age_ms(absl::ToInt64Milliseconds(now.monotonic - host.session->renewed_at));
  }
  return view;
}

absl::StatusOr<v1::Host> GetHost(const State& state, Now now, const v1::GetHostRequest& request) {
  absl::StatusOr<std::string> id = FindHost(state, request.name());
  if (!id.ok()) return id.status();
  return ViewOf(state.hosts.at(*id), now);
}

absl::StatusOr<v1::ListHostsResponse> ListHosts(const State& state, Now now,
                                                const v1::ListHostsRequest& request) {
  std::string last;
  if (absl::Status s = DecodePageToken(request.page_token(), &last); !s.ok()) return s;
  v1::ListHostsResponse response;
  const int32_t page_size = PageSize(request.page_size());
  for (auto it = state.hosts.upper_bound(last); it != state.hosts.end(); ++it) {
    if (response.hosts_size() == page_size) {
      response.set_next_page_token(EncodePageToken(std::prev(it)->first));
      break;
    }
    *response.add_hosts() = ViewOf(it->second, now);
  }
  return response;
}

}  // namespace weft
