#include "server/node/grant_table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/core/token_proto.h"
#include "server/node/held_grants.h"

namespace weft {
namespace {

v1::GrantAssignment ToAssignment(const v1::AcquireGrantResponse& response) {
  v1::GrantAssignment assignment;
  *assignment.mutable_grant() = response.grant();
  *assignment.mutable_runs() = response.segment().runs();
  assignment.set_size_bytes(response.segment().size_bytes());
  assignment.set_generation(response.segment().generation());
  assignment.set_coherence(response.segment().coherence());
  *assignment.mutable_bad_ranges() = response.segment().bad_ranges();
  return assignment;
}

bool SameRanges(const v1::GrantAssignment& a, const v1::GrantAssignment& b) {
  return std::equal(a.bad_ranges().begin(), a.bad_ranges().end(), b.bad_ranges().begin(),
                    b.bad_ranges().end(), [](const v1::ByteRange& x, const v1::ByteRange& y) {
                      return x.offset_bytes() == y.offset_bytes() &&
                             x.length_bytes() == y.length_bytes();
                    });
}

}  // namespace

void GrantTable::Recall(const v1::GrantAssignment& assignment, BootTime now) {
  Upsert(assignment, 0);
  grants_.at(SegmentId(assignment.grant().segment_id())).claim_until = now + options_.claim_grace;
}

bool GrantTable::Upsert(const v1::GrantAssignment& assignment, uint64_t revision) {
  const SegmentId id(assignment.grant().segment_id());
  const auto [it, is_new] = grants_.try_emplace(id);
  HostGrant& grant = it->second;
  if (!is_new && revision < grant.revision) return false;
  const bool unasked = is_new && !acquiring_.contains(assignment.grant().segment());
  if (unasked) grant.in_doubt = true;
  if (!SameRanges(grant.assignment, assignment)) ++grant.bad_version;
  grant.assignment = assignment;
  grant.revision = revision;
  newest_token_ = std::max(newest_token_, FromProto(assignment.grant().token()));
  by_name_.emplace(grant.name(), id);
  Touch(id);
  return unasked;
}

GrantTable::Gone GrantTable::Apply(const v1::Assignments& assignments) {
  Gone gone;
  applied_revision_ = assignments.revision();
  const bool knows_of_before =
      std::exchange(knows_of_before_, knows_of_before_ || assignments.whole());
  const Token newest = newest_token_;
  std::set<SegmentId> listed;
  for (const v1::Assignment& assignment : assignments.upserts()) {
    if (!assignment.has_grant()) continue;
    const SegmentId id(assignment.grant().grant().segment_id());
    listed.insert(id);
    by_key_[assignment.key()] = id;
    if (!Upsert(assignment.grant(), assignments.revision())) continue;
    HostGrant& unasked = grants_.at(id);
    unasked.unclaimable = true;
    // One whose answer was lost, in this run or to the one before: nobody had it.
    unasked.proved_free = knows_of_before && FromProto(unasked.assignment.grant().token()) > newest;
  }
  std::vector<SegmentId> removed;
  for (const std::string& key : assignments.removals()) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) continue;
    removed.push_back(found->second);
    by_key_.erase(found);
  }
  if (assignments.whole()) {
    for (const auto& [id, grant] : grants_) {
      if (!listed.contains(id)) removed.push_back(id);
    }
  }
  for (const SegmentId id : removed) {
    const auto it = grants_.find(id);
    if (it == grants_.end() || it->second.revision > assignments.revision()) continue;
    for (const HandleKey& key : it->second.handles) {
      Erase(key);
      gone.handles.push_back(key);
    }
    gone.grants.push_back(it->second.assignment);
    Forget(it);
  }
  return gone;
}

void GrantTable::StartReleasing(HostGrant& grant) {
  if (!std::exchange(grant.releasing, true)) releasing_.insert(grant.name());
}

void GrantTable::Forget(Grants::iterator it) {
  Touch(it->first);
  if (it->second.releasing) {
    releasing_.erase(releasing_.find(it->second.name()));
    released_.push_back(it->second.name());
  }
  by_name_.erase({it->second.name(), it->first});
  grants_.erase(it);
}

bool GrantTable::Acquired(const v1::AcquireGrantResponse& response) {
  v1::GrantAssignment assignment = ToAssignment(response);
  const auto* const known = Find(SegmentId(assignment.grant().segment_id()));
  // Assignments come in order: the one with this grant has come, and one without it.
  if (known == nullptr && response.revision() <= applied_revision_) return false;
  if (known != nullptr) assignment.set_grace_ms(known->grace_ms());  // not in the response
  Upsert(assignment, response.revision());
  return true;
}

std::vector<v1::HeldGrant> GrantTable::Held() const {
  std::vector<const v1::GrantAssignment*> grants;
  for (const auto& [id, grant] : grants_) grants.push_back(&grant.assignment);
  return ToHeld(grants);
}

std::vector<v1::HostSegment> GrantTable::Describe(SegmentId after, size_t most) const {
  std::vector<v1::HostSegment> segments;
  for (auto it = grants_.upper_bound(after); it != grants_.end() && segments.size() < most; ++it) {
    v1::HostSegment& segment = segments.emplace_back();
    segment.set_segment_id(it->first.value());
    *segment.mutable_grant() = ToHeld(it->second.assignment);
    segment.set_handles(static_cast<uint32_t>(it->second.handles.size()));
  }
  return segments;
}

void GrantTable::SetConnected(bool connected) {
  connected_ = connected;
  if (!connected) return;
  expired_ = false;
  for (const auto& [id, grant] : grants_) Touch(id);
}

void GrantTable::ExpireLease() {
  expired_ = true;
  for (const auto& [id, grant] : grants_) Touch(id);
}

void GrantTable::BeginAcquire(const std::string& segment) {
  WEFT_CHECK(!IsReleasing(segment), segment);
  ++acquiring_[segment];
}

void GrantTable::EndAcquire(const std::string& segment) {
  const auto it = acquiring_.find(segment);
  WEFT_CHECK(it != acquiring_.end(), segment);
  if (--it->second > 0) return;
  acquiring_.erase(it);
  for (auto named = by_name_.lower_bound({segment, SegmentId()});
       named != by_name_.end() && named->first == segment; ++named) {
    Touch(named->second);
  }
}

absl::Status GrantTable::CheckQuota(ConnectionId connection, const std::string& user) const {
  const auto first = handles_.lower_bound({connection, 0});
  const auto last = handles_.lower_bound({connection + 1, 0});
  const auto of_client = static_cast<size_t>(std::distance(first, last));
  if (of_client >= options_.max_handles_per_client) {
    return MakeError(absl::StatusCode::kResourceExhausted, v1::QUOTA,
                     absl::StrCat("this client has ", of_client,
                                  " handles, the most a client can have: close some"));
  }
  if (shares_.MayTake(user)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kResourceExhausted, v1::QUOTA,
                   absl::StrCat(user,
                                " has as many handles as it leaves to other users of this "
                                "host, which has ",
                                handles_.size(), ": close some"));
}

absl::Status GrantTable::AddHandle(const HandleKey& key, const std::string& user, SegmentId segment,
                                   v1::AccessMode mode) {
  const auto it = grants_.find(segment);
  if (it == grants_.end() || it->second.revoking() || it->second.releasing) {
    return MakeError(absl::StatusCode::kFailedPrecondition, v1::STALE_TOKEN,
                     absl::StrCat("the grant of segment ", segment.value(),
                                  " was taken back while it was being opened"));
  }
  if (absl::Status s = CheckQuota(key.connection, user); !s.ok()) return s;
  HostGrant& grant = it->second;
  shares_.Take(user);
  WEFT_CHECK(handles_.emplace(key, Handle{segment, user, mode}).second, key.id);
  grant.handles.insert(key);
  grant.proved_free = false;
  grant.unclaimable = false;
  ++grant.opens;
  grant.not_before = BootTime::InfinitePast();
  return absl::OkStatus();
}

bool GrantTable::Adopt(const HandleKey& key, const std::string& user,
                       const v1::HandleState& claim) {
  const SegmentId segment(claim.segment_id());
  const auto it = grants_.find(segment);
  if (it == grants_.end() || handles_.contains(key) || !CheckQuota(key.connection, user).ok()) {
    return false;
  }
  HostGrant& grant = it->second;
  const v1::Grant& proto = grant.assignment.grant();
  const bool same = FromProto(claim.token()) == FromProto(proto.token()) &&
                    claim.generation() == grant.assignment.generation() &&
                    claim.segment() == proto.segment() && claim.mode() <= proto.mode() &&
                    !grant.releasing && !grant.unclaimable;
  if (!same) return false;
  shares_.Take(user);
  handles_.emplace(key, Handle{segment, user, claim.mode()});
  grant.handles.insert(key);
  grant.proved_free = false;
  ++grant.opens;
  Touch(segment);
  return true;
}

const Handle* GrantTable::FindHandle(const HandleKey& key) const {
  const auto it = handles_.find(key);
  return it == handles_.end() ? nullptr : &it->second;
}

void GrantTable::Remove(const HandleKey& key) {
  const auto it = handles_.find(key);
  grants_.at(it->second.segment).handles.erase(key);
  Touch(it->second.segment);
  Erase(key);
}

void GrantTable::Erase(const HandleKey& key) {
  const auto it = handles_.find(key);
  shares_.Return(it->second.user);
  handles_.erase(it);
}

void GrantTable::CloseHandle(const HandleKey& key) {
  if (handles_.contains(key)) Remove(key);
}

void GrantTable::DropConnection(ConnectionId connection) {
  for (;;) {
    const auto it = handles_.lower_bound({connection, 0});
    if (it == handles_.end() || it->first.connection != connection) return;
    grants_.at(it->second.segment).in_doubt = true;
    Remove(HandleKey(it->first));
  }
}

GrantActions GrantTable::Reconcile(BootTime now) {
  GrantActions actions;
  while (!timers_.empty() && timers_.begin()->first <= now) {
    dirty_.insert(timers_.begin()->second);
    timers_.erase(timers_.begin());
  }
  for (const SegmentId segment : std::exchange(dirty_, {})) {
    const auto it = grants_.find(segment);
    if (it != grants_.end()) {
      TellOfBadMemory(segment, it->second, actions);
      Decide(segment, it->second, now, actions);
    }
    if (!IsSettling(segment)) actions.settled.push_back(segment);
  }
  for (std::string& name : std::exchange(released_, {})) {
    if (!IsReleasing(name)) actions.acquirable.push_back(std::move(name));
  }
  if (!timers_.empty()) actions.next = timers_.begin()->first;
  return actions;
}

void GrantTable::TellOfBadMemory(SegmentId segment, const HostGrant& grant, GrantActions& actions) {
  if (grant.assignment.bad_ranges().empty()) return;
  for (const HandleKey& key : grant.handles) {
    const uint64_t told = std::exchange(handles_.at(key).told_bad_version, grant.bad_version);
    if (told != grant.bad_version) actions.poisoned.emplace_back(key, segment);
  }
}

void GrantTable::Decide(SegmentId segment, HostGrant& grant, BootTime now, GrantActions& actions) {
  if (grant.inspecting || grant.release_called) return;
  if (!grant.handles.empty()) {
    DecideUsed(segment, grant, now, actions);
    return;
  }
  if (acquiring_.contains(grant.name())) return;
  if (const BootTime earliest = std::max(grant.not_before, grant.claim_until); now < earliest) {
    Wake(earliest, segment);
    return;
  }
  // Who can take back need not take clients at their word.
  const bool needs_proof = options_.can_revoke || grant.in_doubt || grant.revoking() || expired_;
  const bool was_called = grant.release_token != Token();
  if (needs_proof && !grant.proved_free && !was_called) {
    grant.inspecting = true;
    grant.opens_at_inspection = grant.opens;
    (grant.revoking() && options_.can_revoke ? actions.take_back : actions.inspect)
        .push_back(segment);
    return;
  }
  if (!connected_) return;
  grant.release_called = true;
  grant.release_token = FromProto(grant.assignment.grant().token());
  StartReleasing(grant);
  actions.release.push_back(segment);
}

void GrantTable::DecideUsed(SegmentId segment, HostGrant& grant, BootTime now,
                            GrantActions& actions) {
  // What the dead-man took back goes on if the coordinator confirms the grant.
  if (!grant.revoking() && (!expired_ || options_.can_revoke)) return;
  const uint32_t grace_ms = grant.revoking() ? grant.assignment.grace_ms() : 0;
  const char* const detail = grant.revoking() ? "the coordinator takes the segment back"
                                              : "this host lost its session with the coordinator";
  for (const HandleKey& key : grant.handles) {
    Handle& handle = handles_.at(key);
    if (std::exchange(handle.notified, true)) continue;
    actions.notices.push_back({key, grace_ms, detail});
  }
  if (!grant.revoking() || !options_.can_revoke) return;
  if (grant.force_at == BootTime::InfiniteFuture()) {
    grant.force_at = now + absl::Milliseconds(grace_ms);
  }
  if (now < grant.force_at) {
    Wake(grant.force_at, segment);
    return;
  }
  grant.inspecting = true;
  grant.opens_at_inspection = grant.opens;
  actions.take_back.push_back(segment);
}

void GrantTable::Inspected(SegmentId segment, bool in_use, BootTime now) {
  const auto it = grants_.find(segment);
  if (it == grants_.end() || !it->second.inspecting) return;
  HostGrant& grant = it->second;
  grant.inspecting = false;
  Touch(segment);
  if (grant.opens != grant.opens_at_inspection) return;
  if (in_use) {
    grant.not_before = now + options_.retry_interval;
    if (grant.force_at < grant.not_before) grant.force_at = grant.not_before;
    return;
  }
  // Handles that are left were taken back: their clients were told.
  for (const HandleKey& key : std::exchange(grant.handles, {})) Erase(key);
  grant.proved_free = true;
  grant.in_doubt = false;
  grant.not_before = BootTime::InfinitePast();
}

void GrantTable::HandleReleased(SegmentId segment) {
  const auto it = grants_.find(segment);
  if (it == grants_.end()) return;
  ++it->second.opens;
  it->second.not_before = BootTime::InfinitePast();
  Touch(segment);
}

void GrantTable::AnyHandleReleased() {
  for (const auto& [segment, grant] : grants_) HandleReleased(segment);
}

void GrantTable::EndRelease(SegmentId segment, const v1::Token& token, bool released,
                            BootTime now) {
  const auto it = grants_.find(segment);
  if (it == grants_.end() || !it->second.release_called) return;
  HostGrant& grant = it->second;
  if (grant.release_token != FromProto(token)) return;
  const bool newer = FromProto(grant.assignment.grant().token()) != grant.release_token;
  if (released && !newer) {
    Forget(it);
    return;
  }
  // A newer one came meanwhile, of an acquire that the coordinator saw twice: it is released, too.
  grant.release_called = false;
  if (!newer) grant.not_before = now + options_.retry_interval;
  Touch(segment);
}

bool GrantTable::IsSettling(SegmentId segment) const {
  const auto it = grants_.find(segment);
  return it != grants_.end() && (it->second.inspecting || it->second.release_called);
}

const v1::GrantAssignment* GrantTable::Find(SegmentId segment) const {
  const auto it = grants_.find(segment);
  return it == grants_.end() ? nullptr : &it->second.assignment;
}

}  // namespace weft
