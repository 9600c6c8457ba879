#include "server/node/grant_keeper.h"

#include <spdlog/spdlog.h>

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/message_differencer.h"
#include "server/core/errors.h"

namespace weft {
namespace {

std::string Text(const absl::Status& status) { return std::string(status.message()); }

// What a session that is over means to a client: try again, the daemon will have another.
absl::Status ForClient(const absl::Status& status) {
  if (ReasonOf(status) != v1::SESSION_EXPIRED) return status;
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                   "weftd lost its session with the coordinator and is getting another");
}

bool SameToken(const v1::Token& a, const v1::Token& b) {
  return a.epoch() == b.epoch() && a.counter() == b.counter();
}

// Whether the segment is what the client asked for.
absl::Status CheckWanted(const v1::OpenRequest& request, const v1::Segment& segment,
                         const v1::Incarnation& actual) {
  if (request.require_hardware_coherence() && segment.coherence() != v1::HARDWARE) {
    return MakeError(
        absl::StatusCode::kFailedPrecondition, v1::NOT_COHERENT,
        absl::StrCat(segment.name(), " is on a device that other hosts see only after ",
                     "Flush and Invalidate; open it without require_hardware_coherence "
                     "and call them"));
  }
  const v1::Incarnation& expected = request.expected();
  if (!request.has_expected() ||
      google::protobuf::util::MessageDifferencer::Equals(expected, actual)) {
    return absl::OkStatus();
  }
  return MakeError(
      absl::StatusCode::kFailedPrecondition, v1::STALE_GENERATION,
      absl::StrCat(segment.name(), " is not the memory it was: it is segment ", actual.segment_id(),
                   " of generation ", actual.generation(), " now, expected was ",
                   expected.segment_id(), " of generation ", expected.generation()));
}

}  // namespace

struct GrantKeeper::Acquire {
  ConnectionId connection = 0;
  std::string principal;
  std::string segment;
  v1::AccessMode mode = v1::READ_ONLY;
  v1::OpenRequest open;
  Reply<v1::OpenReply> open_reply;  // or:
  v1::RefreshRequest refresh;
  Reply<v1::RefreshReply> refresh_reply;
  v1::AcquireGrantResponse response;
  BootTime started;

  void Fail(const absl::Status& status) {
    if (open_reply) {
      open_reply(ForClient(status));
    } else {
      refresh_reply(ForClient(status));
    }
  }
};

GrantKeeper::GrantKeeper(const GrantKeeperDeps& deps, const GrantTableOptions& options,
                         uint64_t first_handle, IdentityFn identity, NoticeFn notice)
    : deps_(deps),
      identity_(std::move(identity)),
      notice_(std::move(notice)),
      table_(options),
      last_handle_(first_handle) {}

absl::Status GrantKeeper::Recall() {
  const absl::StatusOr<std::vector<v1::GrantAssignment>> grants = deps_.backend.Recall();
  if (!grants.ok()) return grants.status();
  for (const v1::GrantAssignment& grant : *grants) table_.Recall(grant, deps_.clock.BootNow());
  Reconcile();
  return absl::OkStatus();
}

void GrantKeeper::Open(ConnectionId connection, const std::string& principal,
                       v1::OpenRequest request, Reply<v1::OpenReply> reply) {
  auto acquire = std::make_shared<Acquire>();
  acquire->connection = connection;
  acquire->principal = principal;
  acquire->segment = request.segment();
  acquire->mode = request.mode() == v1::READ_WRITE ? v1::READ_WRITE : v1::READ_ONLY;
  acquire->open = std::move(request);
  acquire->open_reply = std::move(reply);
  acquire->started = deps_.clock.BootNow();
  if (absl::Status s = table_.CheckQuota(connection); !s.ok()) {
    acquire->Fail(s);
    return;
  }
  StartAcquire(std::move(acquire));
}

void GrantKeeper::Refresh(ConnectionId connection, const std::string& principal,
                          v1::RefreshRequest request, Reply<v1::RefreshReply> reply) {
  auto acquire = std::make_shared<Acquire>();
  acquire->refresh_reply = std::move(reply);
  const Handle* const handle = table_.FindHandle({connection, request.handle_id()});
  if (handle == nullptr) {
    acquire->Fail(MakeError(absl::StatusCode::kFailedPrecondition, v1::STALE_GENERATION,
                            absl::StrCat("handle ", request.handle_id(), " is gone: open again")));
    return;
  }
  acquire->connection = connection;
  acquire->principal = principal;
  acquire->segment = table_.Find(handle->segment)->grant().segment();
  acquire->mode = handle->mode;
  acquire->refresh = std::move(request);
  acquire->started = deps_.clock.BootNow();
  StartAcquire(std::move(acquire));
}

void GrantKeeper::StartAcquire(AcquirePtr acquire) {
  const absl::StatusOr<CallIdentity> identity = identity_(acquire->principal);
  if (!identity.ok()) {
    acquire->Fail(identity.status());
    return;
  }
  if (table_.IsReleasing(acquire->segment)) {
    const std::string& segment = acquire->segment;
    waiting_opens_.emplace(segment, std::move(acquire));
    return;
  }
  table_.BeginAcquire(acquire->segment);
  v1::AcquireGrantRequest request;
  request.set_session_id(identity->session_id);
  request.set_segment(acquire->segment);
  request.set_mode(acquire->mode);
  deps_.transport.AcquireGrant(
      *identity, request, [this, &executor = deps_.executor, acquire](auto response) mutable {
        executor.Post([this, acquire, response = std::move(response)]() mutable {
          OnAcquired(std::move(acquire), std::move(response));
        });
      });
}

void GrantKeeper::OnAcquired(AcquirePtr acquire,
                             absl::StatusOr<v1::AcquireGrantResponse> response) {
  if (!response.ok()) {
    acquire->Fail(response.status());
    EndAcquire(acquire);
    return;
  }
  if (!table_.Acquired(*response, deps_.clock.BootNow())) {
    acquire->Fail(MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                            absl::StrCat("the grant of ", acquire->segment,
                                         " was taken back before it could be used")));
    EndAcquire(acquire);
    return;
  }
  acquire->response = *std::move(response);
  deps_.blocking.Post(
      [this, acquire, grant = *table_.Find(SegmentId(acquire->response.grant().segment_id()))] {
        absl::StatusOr<HandleFiles> files = MakeFiles(*acquire, grant);
        deps_.executor.Post([this, acquire, files = std::move(files)]() mutable {
          OnFiles(std::move(acquire), std::move(files));
        });
      });
}

// On the blocking executor.
absl::StatusOr<HandleFiles> GrantKeeper::MakeFiles(const Acquire& acquire,
                                                   const v1::GrantAssignment& grant) {
  if (absl::Status s = deps_.backend.Prepare(grant); !s.ok()) return s;
  if (acquire.open_reply) return deps_.backend.Open(grant, acquire.mode);
  const std::set<std::string> devices(acquire.refresh.devices().begin(),
                                      acquire.refresh.devices().end());
  return deps_.backend.Refresh(grant, acquire.mode, devices);
}

void GrantKeeper::OnFiles(AcquirePtr acquire, absl::StatusOr<HandleFiles> files) {
  if (!files.ok()) {
    acquire->Fail(files.status());
  } else if (acquire->open_reply) {
    FinishOpen(*acquire, *std::move(files));
  } else {
    FinishRefresh(*acquire, *std::move(files));
  }
  EndAcquire(acquire);
}

void GrantKeeper::EndAcquire(const AcquirePtr& acquire) {
  table_.EndAcquire(acquire->segment);
  Reconcile();
}

void GrantKeeper::FinishOpen(Acquire& acquire, HandleFiles files) {
  const absl::StatusOr<CallIdentity> identity = identity_(acquire.principal);
  if (!identity.ok()) {  // the lease ended meanwhile
    acquire.Fail(identity.status());
    return;
  }
  const v1::Segment& segment = acquire.response.segment();
  WithFiles<v1::OpenReply> reply;
  v1::OpenReply& message = reply.message;
  message.mutable_incarnation()->set_segment_id(segment.id());
  message.mutable_incarnation()->set_generation(segment.generation());
  for (v1::DeviceIncarnation& device : files.incarnation) {
    *message.mutable_incarnation()->add_devices() = std::move(device);
  }
  if (absl::Status s = CheckWanted(acquire.open, segment, message.incarnation()); !s.ok()) {
    acquire.Fail(s);
    return;
  }
  const uint64_t handle_id = ++last_handle_;
  const HandleKey key{acquire.connection, handle_id};
  if (absl::Status s = table_.AddHandle(key, SegmentId(segment.id()), acquire.mode); !s.ok()) {
    acquire.Fail(s);
    return;
  }
  message.set_handle_id(handle_id);
  *message.mutable_segment() = segment;
  message.set_mode(acquire.mode);
  *message.mutable_token() = acquire.response.grant().token();
  message.set_backend(deps_.backend.kind());
  message.set_page_size_bytes(files.page_size.value());
  for (std::string& device : files.devices) message.add_devices(std::move(device));
  reply.fds = std::move(files.fds);
  acquire.open_reply(std::move(reply));
}

void GrantKeeper::FinishRefresh(Acquire& acquire, HandleFiles files) {
  WithFiles<v1::RefreshReply> reply;
  *reply.message.mutable_segment() = acquire.response.segment();
  for (std::string& device : files.devices) reply.message.add_new_devices(std::move(device));
  reply.fds = std::move(files.fds);
  acquire.refresh_reply(std::move(reply));
}

void GrantKeeper::Close(ConnectionId connection, uint64_t handle_id,
                        absl::AnyInvocable<void()> done) {
  const HandleKey key{connection, handle_id};
  const Handle* const handle = table_.FindHandle(key);
  if (handle == nullptr) {
    done();
    return;
  }
  waiting_closes_.emplace(handle->segment, std::move(done));
  table_.CloseHandle(key);
  Reconcile();
}

bool GrantKeeper::Adopt(ConnectionId connection, const v1::HandleState& claim) {
  const bool adopted = table_.Adopt({connection, claim.handle_id()}, claim);
  Reconcile();
  return adopted;
}

void GrantKeeper::Disconnect(ConnectionId connection) {
  table_.DropConnection(connection);
  Reconcile();
}

void GrantKeeper::SetConnected(bool connected) {
  table_.SetConnected(connected);
  Reconcile();
}

void GrantKeeper::ExpireLease() {
  table_.ExpireLease();
  Reconcile();
}

void GrantKeeper::HandleReleased(SegmentId segment) {
  table_.HandleReleased(segment);
  Reconcile();
}

void GrantKeeper::Apply(const v1::Assignments& assignments) {
  const GrantTable::Gone gone = table_.Apply(assignments, deps_.clock.BootNow());
  for (const HandleKey& key : gone.handles) {
    v1::RevokeNotice notice;
    notice.set_handle_id(key.id);
    notice.set_detail("this host's grant of the segment is over: let go at once");
    notice_(key.connection, notice);
  }
  for (const v1::GrantAssignment& grant : gone.grants) Forget(grant);
  for (const v1::Assignment& assignment : assignments.upserts()) {
    const auto* grant = assignment.has_grant()
                            ? table_.Find(SegmentId(assignment.grant().grant().segment_id()))
                            : nullptr;
    if (grant != nullptr) Prepare(*grant);
  }
  Reconcile();
}

void GrantKeeper::Prepare(const v1::GrantAssignment& grant) {
  deps_.blocking.Post([this, grant] {
    const absl::Status status = deps_.backend.Prepare(grant);
    if (!status.ok()) {
      spdlog::error("prepare_failed segment={} error=\"{}\"", grant.grant().segment(),
                    Text(status));
    }
  });
}

void GrantKeeper::Forget(const v1::GrantAssignment& grant) {
  deps_.blocking.Post([this, grant] {
    const absl::Status status = deps_.backend.Forget(grant);
    if (!status.ok()) {
      spdlog::error("forget_failed segment={} error=\"{}\"", grant.grant().segment(), Text(status));
    }
  });
}

void GrantKeeper::Reconcile() {
  const GrantActions actions = table_.Reconcile(deps_.clock.BootNow());
  for (const GrantActions::Notice& notice : actions.notices) {
    v1::RevokeNotice message;
    message.set_handle_id(notice.handle.id);
    message.set_grace_ms(notice.grace_ms);
    message.set_detail(notice.detail);
    deps_.metrics.CountRevoke();
    notice_(notice.handle.connection, message);
  }
  if (!actions.inspect.empty()) Inspect(actions.inspect);
  for (const SegmentId segment : actions.take_back) TakeBack(segment);
  for (const SegmentId segment : actions.release) Release(segment);
  WakeAt(actions.next);
  Settle();
  deps_.metrics.SetGrants(table_.grants(), table_.handles());
}

void GrantKeeper::Inspect(const std::vector<SegmentId>& segments) {
  std::vector<v1::GrantAssignment> grants;
  for (const SegmentId segment : segments) grants.push_back(*table_.Find(segment));
  deps_.blocking.Post([this, segments, grants = std::move(grants)] {
    absl::StatusOr<std::set<SegmentId>> in_use = deps_.backend.FindInUse(grants);
    deps_.executor.Post([this, segments, in_use = std::move(in_use)] {
      if (!in_use.ok()) spdlog::warn("inspection_failed error=\"{}\"", Text(in_use.status()));
      for (const SegmentId segment : segments) {
        const bool used = !in_use.ok() || in_use->contains(segment);
        if (used && said_in_use_.insert(segment).second) {
          spdlog::info("segment_still_mapped segment_id={}", segment.value());
        }
        if (!used) said_in_use_.erase(segment);
        table_.Inspected(segment, used, deps_.clock.BootNow());
      }
      Reconcile();
    });
  });
}

void GrantKeeper::TakeBack(SegmentId segment) {
  deps_.blocking.Post([this, segment, grant = *table_.Find(segment)] {
    const absl::StatusOr<bool> in_use = deps_.backend.TakeBack(grant);
    deps_.executor.Post([this, segment, in_use] {
      if (!in_use.ok()) spdlog::warn("take_back_failed error=\"{}\"", Text(in_use.status()));
      table_.Inspected(segment, !in_use.ok() || *in_use, deps_.clock.BootNow());
      Reconcile();
    });
  });
}

void GrantKeeper::Release(SegmentId segment) {
  const v1::Grant& grant = table_.Find(segment)->grant();
  auto done = [this, &executor = deps_.executor, segment,
               token = grant.token()](absl::Status status) {
    executor.Post(
        [this, segment, token, status = std::move(status)] { OnReleased(segment, token, status); });
  };
  const absl::StatusOr<CallIdentity> identity = identity_("");
  if (!identity.ok()) {
    done(identity.status());
    return;
  }
  v1::ReleaseGrantRequest request;
  request.set_session_id(identity->session_id);
  request.set_segment(grant.segment());
  request.set_segment_id(grant.segment_id());
  *request.mutable_token() = grant.token();
  deps_.transport.ReleaseGrant(*identity, request, std::move(done));
}

void GrantKeeper::OnReleased(SegmentId segment, const v1::Token& token,
                             const absl::Status& status) {
  if (!status.ok()) {
    spdlog::warn("release_failed segment_id={} error=\"{}\"", segment.value(), Text(status));
  }
  const v1::GrantAssignment* const grant = table_.Find(segment);
  if (status.ok() && grant != nullptr && SameToken(grant->grant().token(), token)) Forget(*grant);
  table_.EndRelease(segment, token, status.ok(), deps_.clock.BootNow());
  Reconcile();
}

// Answers closers, and goes on with opens, that nothing is under way for any more.
void GrantKeeper::Settle() {
  std::vector<absl::AnyInvocable<void()>> closers;
  for (auto it = waiting_closes_.begin(); it != waiting_closes_.end();) {
    if (table_.IsSettling(it->first)) {
      ++it;
    } else {
      closers.push_back(std::move(it->second));
      it = waiting_closes_.erase(it);
    }
  }
  std::vector<AcquirePtr> opens;
  for (auto it = waiting_opens_.begin(); it != waiting_opens_.end();) {
    if (table_.IsReleasing(it->first)) {
      ++it;
    } else {
      opens.push_back(std::move(it->second));
      it = waiting_opens_.erase(it);
    }
  }
  for (auto& closer : closers) closer();
  for (AcquirePtr& open : opens) StartAcquire(std::move(open));
}

void GrantKeeper::WakeAt(BootTime when) {
  if (when >= wake_at_) return;
  wake_at_ = when;
  deps_.executor.PostAt(when, [this] {
    wake_at_ = BootTime::InfiniteFuture();
    Reconcile();
  });
}

}  // namespace weft
