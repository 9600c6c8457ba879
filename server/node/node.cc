#include "server/node/node.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/core/names.h"
#include "server/core/version.h"

namespace weft {
namespace {

FdServiceOptions FdOptions(const NodeOptions& options) {
  FdServiceOptions fd;
  fd.host_id = options.host_id;
  fd.grpc_address = options.grpc_address;
  return fd;
}

GrantTableOptions GrantOptions(const NodeOptions& options, const Backend& backend) {
  GrantTableOptions grants = options.grants;
  grants.can_revoke = backend.can_revoke();
  return grants;
}

// Handles of an earlier run keep their ids: those of this run begin somewhere else.
uint64_t RandomHandleBase(Random& random) {
  uint32_t high = 0;
  random.Fill(absl::MakeSpan(reinterpret_cast<uint8_t*>(&high), sizeof(high)));
  return (uint64_t{high} >> 1) << 32;
}

absl::Status InPool(const std::string& device, const std::string& pool) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, v1::IN_USE,
      absl::StrCat(device, " belongs to ", pool, ": take it out first (this cannot be forced)"));
}

}  // namespace

Node::Node(NodeOptions options, const NodeDeps& deps, Events events)
    : options_(std::move(options)),
      deps_(deps),
      events_(std::move(events)),
      instance_id_(NewUuid(deps.random).ToString()),
      revoke_bound_(options_.revoke_bound),
      tickets_(deps.random),
      fd_service_(FdOptions(options_), deps.executor, deps.clock, deps.packets, tickets_,
                  deps.metrics),
      keeper_(
          {deps.executor, deps.blocking, deps.clock, deps.transport, deps.backend, deps.metrics,
           [this](SegmentId segment) { scrubber_.CancelCopiesOf(segment); }},
          GrantOptions(options_, deps.backend), RandomHandleBase(deps.random),
          [this](const std::string& principal) { return IdentityOf(principal); },
          [this](ConnectionId connection, const v1::ServerMessage& notice) {
            fd_service_.Notify(connection, notice);
          }),
      worker_(
          {deps.executor, deps.blocking, deps.clock, deps.catalog, deps.metrics},
          [this](v1::NodeMessage message) {
            const bool zeroed = message.has_scrub_progress();
            session_.Send(std::move(message));
            if (zeroed) TellZeroed();
          },
          [this] { ReportInventory(); }),
      scrubber_(deps.clock, options_.scrub_rate,
                [this](const ScrubReport& report) { worker_.OnScrubReport(report); }),
      inventory_(
          {deps.executor, deps.blocking, deps.catalog, deps.backend, keeper_, worker_},
          [this] { RescanNow(); },
          [this](v1::NodeMessage message) { session_.Send(std::move(message)); }),
      session_(deps.executor, deps.clock, deps.random, deps.transport, *this,
               deps.backend.dead_man()) {
  fd_service_.SetKeeper(keeper_);
  worker_.SetScrubber(scrubber_);
}

absl::Status Node::Start() {
  if (absl::StatusOr<bool> scanned = deps_.catalog.Rescan(); !scanned.ok()) {
    return scanned.status();
  }
  if (absl::Status s = keeper_.Recall(); !s.ok()) return s;
  deps_.executor.Post([this] {
    session_.Start();
    Rescan();
  });
  return absl::OkStatus();
}

void Node::HandleReleased(SegmentId segment) {
  deps_.executor.Post([this, segment] { keeper_.HandleReleased(segment); });
}

void Node::OnEvent(const KmodEvent& event) {
  using Type = KmodEvent::Type;
  switch (event.type) {
    case Type::kHandleReleased:
      HandleReleased(event.segment);
      break;
    case Type::kOverflow:
      deps_.executor.Post([this] { keeper_.AnyHandleReleased(); });
      [[fallthrough]];
    case Type::kMemoryFailure:
    case Type::kDeviceGone:
      RescanSoon([] {});
      break;
    case Type::kDeadManDone:
      // Perhaps in the midst of a lease, after a standstill: what the coordinator still grants,
      // and says so anew, goes on.
      deps_.executor.Post([this] { session_.Reregister(); });
      break;
    case Type::kDeadManFired:
    case Type::kFenceFailed:
    case Type::kSegmentRevoked:
      break;
  }
}

absl::StatusOr<LocalApi::Caller> Node::FindCaller(const std::string& ticket) {
  const std::optional<LocalUser> user = tickets_.Find(ticket);
  if (user) return Caller{user->uid, user->principal};
  return MakeError(absl::StatusCode::kUnauthenticated, v1::NO_IDENTITY,
                   "the ticket belongs to no connection to the fd socket: connect again");
}

absl::StatusOr<CallIdentity> Node::IdentityOf(const std::string& principal) {
  absl::MutexLock lock(&mu_);
  if (deps_.clock.BootNow() < deadline_) {
    return CallIdentity{options_.host_id, session_id_, principal};
  }
  return MakeError(
      absl::StatusCode::kUnavailable, v1::UNREACHABLE,
      absl::StrCat("host ", options_.host_id, " has no session with the coordinator now"));
}

void Node::SetSession(const std::string& session_id, BootTime deadline) {
  absl::MutexLock lock(&mu_);
  session_id_ = session_id;
  deadline_ = deadline;
}

void Node::GetNodeStatus(Done<v1::NodeStatus> done) {
  deps_.executor.Post([this, done = std::move(done)]() mutable { done(Status()); });
}

v1::NodeStatus Node::Status() const {
  v1::NodeStatus status;
  status.set_host_id(options_.host_id);
  status.set_weftd_version(kVersion);
  status.set_backend(deps_.backend.kind());
  status.set_coordinator_address(deps_.transport.address());
  if (session_.alive()) status.set_session_id(session_.session_id());
  if (!session_.session_id().empty()) {
    status.set_lease_left_ms(
        absl::ToInt64Milliseconds(session_.deadline() - deps_.clock.BootNow()));
  }
  status.set_grants(keeper_.grants());
  status.set_handles(keeper_.handles());
  return status;
}

void Node::ListLocalDevices(Done<v1::ListLocalDevicesResponse> done) {
  RescanSoon([this, done = std::move(done)]() mutable { done(deps_.catalog.List()); });
}

absl::Status Node::CheckMayManage(const Caller& caller) const {
  if (caller.uid == 0 || caller.uid == options_.daemon_uid) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kPermissionDenied, v1::NOT_ALLOWED,
      absl::StrCat(caller.principal, " may not do that: root and weftd's own user may"));
}

void Node::ReleaseDevice(const Caller& caller, const v1::ReleaseDeviceRequest& request,
                         Done<v1::LocalDeviceInfo> done) {
  if (absl::Status s = CheckMayManage(caller); !s.ok()) {
    done(std::move(s));
    return;
  }
  deps_.blocking.Post([this, request, done = std::move(done)]() mutable {
    absl::StatusOr<v1::LocalDeviceInfo> info =
        deps_.catalog.SetReleased(request.device(), !request.undo());
    if (info.ok()) deps_.executor.Post([this] { ReportInventory(); });
    done(std::move(info));
  });
}

void Node::FormatDevice(const Caller& caller, const v1::FormatDeviceRequest& request,
                        Done<v1::LocalDeviceInfo> done) {
  if (absl::Status s = CheckMayManage(caller); !s.ok()) {
    done(std::move(s));
    return;
  }
  // Before its device is looked at: a pool may have it since.
  if (auto reply = format_replies_.Find(request)) {
    done(*std::move(reply));
    return;
  }
  const absl::StatusOr<KnownDevice> known = deps_.catalog.FindByName(request.device());
  if (!known.ok()) {
    done(known.status());
    return;
  }
  if (!known->skipped.ok()) {  // it has no label: no pool can have it
    Format(request, std::move(done));
    return;
  }
  const std::string name = FormatDeviceName(known->label.device);
  // Only the coordinator knows whose it is; its word is as good as the session.
  absl::StatusOr<CallIdentity> identity = IdentityOf("");
  if (!identity.ok()) {
    done(Annotate(identity.status(), "whether a pool has the device is not known"));
    return;
  }
  v1::GetDeviceRequest get;
  get.set_name(name);
  deps_.transport.GetDevice(
      *identity, get,
      [this, request, name, done = std::move(done)](absl::StatusOr<v1::Device> device) mutable {
        if (device.ok() && !device->pool().empty()) {
          done(InPool(name, device->pool()));
        } else if (!device.ok() && ReasonOf(device.status()) != v1::DEVICE_NOT_FOUND) {
          done(device.status());
        } else {
          Format(request, std::move(done));
        }
      });
}

void Node::Format(const v1::FormatDeviceRequest& request, Done<v1::LocalDeviceInfo> done) {
  deps_.blocking.Post([this, request, done = std::move(done)]() mutable {
    // It may have come twice before the first was carried out.
    if (auto reply = format_replies_.Find(request)) {
      done(*std::move(reply));
      return;
    }
    absl::StatusOr<v1::LocalDeviceInfo> info =
        deps_.catalog.Format(request.device(), request.force());
    if (info.ok()) format_replies_.Keep(request, *info);
    if (info.ok()) RescanNow();  // what has a label now is taken over
    if (info.ok()) deps_.executor.Post([this] { ReportInventory(); });
    done(std::move(info));
  });
}

v1::Register Node::MakeRegister() {
  v1::Register request;
  request.set_host_id(options_.host_id);
  request.set_boot_id(options_.boot_id);
  request.set_instance_id(instance_id_);
  request.set_weftd_version(kVersion);
  request.set_backend(deps_.backend.kind());
  request.set_can_revoke(deps_.backend.can_revoke());
  request.set_trust_expiry(options_.trust_expiry);
  request.set_revoke_bound_ms(static_cast<uint32_t>(absl::ToInt64Milliseconds(revoke_bound_)));
  told_opening_ = announcing_;
  *request.mutable_devices() = deps_.catalog.Inventory();
  told_.Tell(request.devices());
  for (v1::HeldGrant& held : keeper_.Held()) *request.add_held() = std::move(held);
  request.set_metrics_address(options_.metrics_address);
  return request;
}

void Node::OnRegistered(const v1::Registered& registered) {
  if (registered.session_id() != last_session_id_) {
    // What an earlier session had this host write may be another host's by now.
    worker_.StopAll();
    last_session_id_ = registered.session_id();
  }
  SetSession(registered.session_id(), session_.deadline());
  deps_.backend.SetTerms(registered.session_id(), absl::Milliseconds(registered.revoke_bound_ms()));
  // Behind what was asked for before, and may be answered as if nothing had come back.
  keeper_.DistrustAcquires();
  deps_.blocking.Post([this, opening = told_opening_] { deps_.catalog.SetAnnounced(opening); });
  if (told_opening_ < announcing_) {  // this Register was on its way already
    deps_.executor.Post([this] { session_.Reregister(); });
  }
  worker_.RepeatReports();
  ReportInventory();
}

void Node::OnAssignments(const v1::Assignments& assignments) {
  worker_.Apply(assignments);
  keeper_.Apply(assignments);
  // Only now is it known which grants the coordinator still counts as this host's.
  if (!assignments.whole()) return;
  keeper_.SetConnected(true);
  if (std::exchange(told_registered_, true)) return;
  v1::Registered registered;
  registered.set_session_id(session_.session_id());
  events_.on_registered(registered);
}

void Node::OnLeaseExtended(BootTime deadline) {
  SetSession(session_.session_id(), deadline);
  // Behind the cancelling of what is not this session's.
  deps_.blocking.Post([this, deadline] { scrubber_.SetWriteDeadline(deadline); });
  deps_.metrics.CountRenewal();
  deps_.metrics.SetLeaseDeadline(deadline);
  UpdateRevokeBound();
}

void Node::UpdateRevokeBound() {
  deps_.blocking.Post([this] {
    const absl::StatusOr<absl::Duration> bound = deps_.backend.RevokeBound();
    if (!bound.ok()) {
      spdlog::error("revoke_bound_unknown error=\"{}\"", std::string(bound.status().message()));
      return;
    }
    deps_.executor.Post([this, bound = absl::Ceil(*bound, absl::Milliseconds(1))] {
      if (bound <= revoke_bound_) return;
      spdlog::info("revoke_bound_raised from={} to={}", absl::FormatDuration(revoke_bound_),
                   absl::FormatDuration(bound));
      revoke_bound_ = bound;
      session_.Reregister();
    });
  });
}

void Node::OnDisconnected() { keeper_.SetConnected(false); }

void Node::OnLeaseExpired() {
  deps_.metrics.CountExpiry();
  keeper_.ExpireLease();
}

void Node::OnRefused(const absl::Status& status) { events_.on_refused(status); }

void Node::OnResync() {
  spdlog::info("resync session={}", session_.session_id());
  inventory_.Resync([this] { session_.Reregister(); });
}

void Node::Rescan() {
  RescanSoon([] {});
  deps_.executor.PostAt(deps_.clock.BootNow() + options_.rescan_interval, [this] { Rescan(); });
}

void Node::RescanSoon(absl::AnyInvocable<void()> done) {
  {
    absl::MutexLock lock(&mu_);
    rescan_waiters_.push_back(std::move(done));
    if (rescan_waiters_.size() > 1) return;
  }
  deps_.blocking.Post([this] {
    std::vector<absl::AnyInvocable<void()>> waiters;
    {
      absl::MutexLock lock(&mu_);
      waiters.swap(rescan_waiters_);
    }
    RescanNow();
    for (absl::AnyInvocable<void()>& waiter : waiters) waiter();
  });
}

void Node::RescanNow() {
  const absl::StatusOr<bool> changed = deps_.catalog.Rescan();
  if (!changed.ok()) {
    spdlog::error("rescan_failed error=\"{}\"", std::string(changed.status().message()));
  } else {
    // Even if nothing has changed since the last look: that can have been the backend's.
    deps_.executor.Post([this] { ReportInventory(); });
  }
  if (deps_.catalog.newest_opening() > deps_.catalog.announced()) {
    deps_.executor.Post([this] { Announce(); });
  }
}

void Node::Announce() {
  if (deps_.catalog.newest_opening() <= announcing_ || std::exchange(announce_pending_, true)) {
    return;
  }
  // The coordinator will give to others what this host was to zero: first it has to stop.
  worker_.StopAll();
  deps_.blocking.Post([this] {
    deps_.executor.Post([this] {
      announce_pending_ = false;
      announcing_ = deps_.catalog.newest_opening();
      instance_id_ = NewUuid(deps_.random).ToString();
      session_.Reregister();
    });
  });
}

void Node::ReportInventory() {
  v1::NodeMessage message;
  *message.mutable_devices() = deps_.catalog.Inventory();
  deps_.metrics.SetDevices(static_cast<size_t>(message.devices().devices_size()));
  if (!session_.connected()) return;
  if (told_.Tell(message.devices())) session_.Send(std::move(message));
}

void Node::TellZeroed() {
  if (!told_.has_bad() || std::exchange(telling_anew_, true)) return;
  deps_.blocking.Post([this] {
    RescanNow();
    deps_.executor.Post([this] {
      telling_anew_ = false;
      told_.Forget();
      ReportInventory();
    });
  });
}

}  // namespace weft
