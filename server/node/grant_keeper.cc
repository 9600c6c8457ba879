#include "server/node/grant_keeper.h"

#include <spdlog/spdlog.h>

#include <set>
#include <utility>

#include "server/node/grant_acquire.h"

namespace weft {
namespace {

std::string Text(const absl::Status& status) { return std::string(status.message()); }

}  // namespace

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

std::vector<uint64_t> GrantKeeper::Adopt(
    ConnectionId connection, const std::string& principal,
    const google::protobuf::RepeatedPtrField<v1::HandleState>& claims) {
  std::vector<uint64_t> stale;
  for (const v1::HandleState& claim : claims) {
    const uint64_t id = claim.handle_id();
    if (!table_.Adopt({connection, id}, principal, claim)) stale.push_back(id);
  }
  Reconcile();
  return stale;
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

void GrantKeeper::AnyHandleReleased() {
  table_.AnyHandleReleased();
  Reconcile();
}

void GrantKeeper::Apply(const v1::Assignments& assignments) {
  const GrantTable::Gone gone = table_.Apply(assignments);
  for (const HandleKey& key : gone.handles) {
    v1::ServerMessage message;
    message.mutable_revoke()->set_handle_id(key.id);
    message.mutable_revoke()->set_detail(
        "this host's grant of the segment is over: let go at once");
    notice_(key.connection, message);
  }
  for (const v1::GrantAssignment& grant : gone.grants) Forget(grant);
  for (const v1::Assignment& assignment : assignments.upserts()) {
    const auto* grant = assignment.has_grant()
                            ? table_.Find(SegmentId(assignment.grant().grant().segment_id()))
                            : nullptr;
    if (grant != nullptr && !table_.IsReleasing(grant->grant().segment())) Prepare(*grant);
  }
  Reconcile();
}

void GrantKeeper::Prepare(const v1::GrantAssignment& grant) {
  deps_.blocking.Post([this, grant] {
    const absl::Status status = deps_.backend.Keep(grant);
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
  for (const GrantActions::Notice& notice : actions.notices) TellToLetGo(notice);
  for (const auto& [handle, segment] : actions.poisoned) TellOfBadMemory(handle, segment);
  to_inspect_.insert(actions.inspect.begin(), actions.inspect.end());
  if (!inspecting_ && !to_inspect_.empty()) Inspect();
  for (const SegmentId segment : actions.take_back) TakeBack(segment);
  for (const SegmentId segment : actions.release) Release(segment);
  WakeAt(actions.next);
  Settle(actions);
  deps_.metrics.SetGrants(table_.grants(), table_.handles());
}

void GrantKeeper::TellToLetGo(const GrantActions::Notice& notice) {
  v1::ServerMessage message;
  message.mutable_revoke()->set_handle_id(notice.handle.id);
  message.mutable_revoke()->set_grace_ms(notice.grace_ms);
  message.mutable_revoke()->set_detail(notice.detail);
  deps_.metrics.CountRevoke();
  notice_(notice.handle.connection, message);
}

void GrantKeeper::TellOfBadMemory(const HandleKey& handle, SegmentId segment) {
  v1::ServerMessage message;
  message.mutable_poison()->set_handle_id(handle.id);
  *message.mutable_poison()->mutable_ranges() = table_.Find(segment)->bad_ranges();
  notice_(handle.connection, message);
}

void GrantKeeper::Inspect() {
  inspecting_ = true;
  std::vector<SegmentId> segments;
  std::vector<v1::GrantAssignment> grants;
  for (const SegmentId segment : std::exchange(to_inspect_, {})) {
    const v1::GrantAssignment* const grant = table_.Find(segment);
    if (grant == nullptr) continue;  // gone since
    segments.push_back(segment);
    grants.push_back(*grant);
  }
  deps_.blocking.Post([this, segments, grants = std::move(grants)] {
    absl::StatusOr<std::set<SegmentId>> in_use = deps_.backend.FindInUse(grants);
    deps_.executor.Post([this, segments, in_use = std::move(in_use)] {
      inspecting_ = false;
      if (!in_use.ok()) spdlog::warn("inspection_failed error=\"{}\"", Text(in_use.status()));
      for (const SegmentId segment : segments) {
        if (to_inspect_.contains(segment)) continue;  // granted anew since
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

// What is left of the grant goes first: a daemon that is started meanwhile must not go on with it,
// since the coordinator may act on the release late.
void GrantKeeper::Release(SegmentId segment) {
  deps_.blocking.Post([this, assignment = *table_.Find(segment)] {
    const absl::Status status = deps_.backend.Forget(assignment);
    deps_.executor.Post([this, grant = assignment.grant(), status] {
      if (status.ok()) {
        CallRelease(grant);
      } else {
        OnReleased(SegmentId(grant.segment_id()), grant.token(), status);
      }
    });
  });
}

void GrantKeeper::CallRelease(const v1::Grant& grant) {
  auto done = [this, &executor = deps_.executor, segment = SegmentId(grant.segment_id()),
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
  table_.EndRelease(segment, token, status.ok(), deps_.clock.BootNow());
  Reconcile();
}

// Answers closers, and goes on with opens, that nothing is under way for any more.
void GrantKeeper::Settle(const GrantActions& actions) {
  std::vector<absl::AnyInvocable<void()>> closers;
  for (const SegmentId segment : actions.settled) {
    const auto [first, last] = waiting_closes_.equal_range(segment);
    for (auto it = first; it != last; ++it) closers.push_back(std::move(it->second));
    waiting_closes_.erase(first, last);
  }
  std::vector<AcquirePtr> opens;
  for (const std::string& name : actions.acquirable) {
    const auto [first, last] = waiting_opens_.equal_range(name);
    for (auto it = first; it != last; ++it) opens.push_back(std::move(it->second));
    waiting_opens_.erase(first, last);
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
