#include "server/core/grants.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/core/copies.h"
#include "server/core/devices.h"
#include "server/core/drain.h"
#include "server/core/errors.h"
#include "server/core/events.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/moves.h"
#include "server/core/names.h"
#include "server/core/paging.h"
#include "server/core/quarantine.h"
#include "server/core/recovery.h"
#include "server/core/segments.h"
#include "server/core/sessions.h"
#include "server/core/strays.h"

namespace weft {
namespace {

using GrantTable = absl::btree_map<GrantKey, store::v1::GrantRecord>;

GrantTable::const_iterator FirstGrant(const State& state, SegmentId segment) {
  return state.grants.lower_bound({segment, ""});
}

uint32_t GraceMs(const State& state, const SegmentKey& key) {
  return state.pools.at(key.first)->record.pool().revoke_grace_ms();
}

v1::Assignment ToAssignment(const State& state, const store::v1::GrantRecord& record) {
  const SegmentId id(record.grant().segment_id());
  const v1::Segment& segment = SegmentById(state, id).segment();
  v1::Assignment assignment;
  assignment.set_key(GrantAssignmentKey(id));
  v1::GrantAssignment& grant = *assignment.mutable_grant();
  *grant.mutable_grant() = record.grant();
  *grant.mutable_runs() = segment.runs();
  v1::Segment with_bad = segment;
  AddBadRanges(state, with_bad);
  *grant.mutable_bad_ranges() = with_bad.bad_ranges();
  grant.set_size_bytes(segment.size_bytes());
  grant.set_generation(segment.generation());
  grant.set_coherence(segment.coherence());
  grant.set_grace_ms(GraceMs(state, state.segment_by_id.at(id)));
  return assignment;
}

absl::Status CheckOpenable(const v1::Segment& segment) {
  if (segment.state() == v1::SEGMENT_ACTIVE) return absl::OkStatus();
  if (segment.state() == v1::SEGMENT_LOST) {
    return MakeError(
        absl::StatusCode::kDataLoss, v1::CONTENTS_LOST,
        absl::StrCat("a device under ", segment.name(), " lost its contents: delete the segment"));
  }
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::MODE_NOT_ALLOWED,
                   absl::StrCat(segment.name(), " is being deleted"));
}

// How a holder's grant can come to an end.
std::string WayOut(const State& state, const std::string& host) {
  switch (state.hosts.at(host).record.host().state()) {
    case v1::HOST_FENCING:
      return "which is being fenced: try again when that is over";
    case v1::HOST_UNCERTAIN:
      return "which is silent and may still have it mapped: start its weftd again, or `weft host "
             "fence` it";
    default:
      return "close it there first";
  }
}

absl::Status Held(const State& state, const v1::Segment& segment, const v1::Grant& holder) {
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::HELD,
                   absl::StrCat(segment.name(), " is ", v1::SharingMode_Name(segment.sharing()),
                                " and held ", v1::AccessMode_Name(holder.mode()), " by ",
                                holder.host(), ": ", WayOut(state, *ParseHostName(holder.host()))));
}

// Whether another host's grant excludes a new one of `mode`.
bool Excludes(const v1::Segment& segment, const v1::Grant& other, v1::AccessMode mode) {
  switch (segment.sharing()) {
    case v1::SHARED:
      return false;
    case v1::SINGLE_WRITER:
      return mode == v1::READ_WRITE && other.mode() == v1::READ_WRITE;
    default:
      return true;
  }
}

// The host cannot touch the segment any more; its grant only waits to be dropped.
bool IsReleasing(const State& state, SegmentId segment, const std::string& host) {
  return state.hosts.at(host).releasing.contains(segment);
}

absl::Status CheckDevices(const State& state, const v1::Segment& segment, const std::string& host) {
  for (const DeviceId& device : DevicesOf(segment)) {
    if (absl::Status s = CheckAttached(state, host, device); !s.ok()) {
      return Annotate(s, segment.name());
    }
  }
  return absl::OkStatus();
}

v1::AcquireGrantResponse Reply(const State& state, const v1::Grant& grant,
                               const v1::Segment& segment) {
  v1::AcquireGrantResponse response;
  *response.mutable_grant() = grant;
  *response.mutable_segment() = segment;
  AddBadRanges(state, *response.mutable_segment());
  response.set_revision(state.cluster.revision());
  return response;
}

// A new grant takes the place of one that waited to be dropped.
void KeepFromRelease(State& state, SegmentId segment, const std::string& host, Changes& changes) {
  if (state.hosts.at(host).releasing.erase(segment) > 0) PutReleasing(state, host, changes);
}

void MakeGrant(State& state, const Context& context, const v1::Segment& segment,
               const std::string& host, v1::AccessMode mode, const Token& token, Changes& changes) {
  const SegmentId id(segment.id());
  StopCopy(state, context, id, absl::StrCat(FormatHostName(host), " opened it"), changes);
  store::v1::GrantRecord& record = state.grants[{id, host}];
  v1::Grant& grant = *record.mutable_grant();
  grant.set_name(absl::StrCat(segment.name(), "/grants/", host));
  grant.set_segment(segment.name());
  grant.set_segment_id(segment.id());
  grant.set_host(FormatHostName(host));
  grant.set_mode(mode);
  *grant.mutable_token() = ToProto(token);
  grant.set_state(v1::GRANT_ACTIVE);
  grant.set_create_time_unix_ms(context.now.unix_ms);
  state.hosts.at(host).grants.insert(id);
  KeepFromRelease(state, id, host, changes);
  changes.Put(keys::Grant(id, host), record);
  changes.Assign(host, ToAssignment(state, record));
}

void TellOfGrant(State& state, const Context& context, const v1::Grant& grant, Changes& changes) {
  Emit(state, context, v1::GRANT_ACQUIRED, grant.segment(), grant.host(),
       v1::AccessMode_Name(grant.mode()), changes);
}

void ForgetGrant(State& state, const Context& context, SegmentId segment, const std::string& host,
                 Changes& changes) {
  const v1::Grant grant = state.grants.at({segment, host}).grant();
  state.grants.erase({segment, host});
  state.hosts.at(host).grants.erase(segment);
  KeepFromRelease(state, segment, host, changes);
  changes.Delete(keys::Grant(segment, host));
  changes.Unassign(host, GrantAssignmentKey(segment));
  Emit(state, context, v1::GRANT_RELEASED, grant.segment(), grant.host(), "", changes);
}

}  // namespace

absl::StatusOr<v1::AcquireGrantResponse> AcquireGrant(State& state, const Context& context,
                                                      const std::string& host,
                                                      const v1::AcquireGrantRequest& request,
                                                      Changes& changes) {
  if (absl::Status s = CheckSession(state, host, request.session_id()); !s.ok()) return s;
  if (absl::Status s = CheckNotDraining(state, host); !s.ok()) return s;
  absl::StatusOr<SegmentKey> key = FindSegment(state, request.segment());
  if (!key.ok()) return key.status();
  const v1::Segment& segment = state.segments.at(*key).segment();
  const v1::AccessMode mode =
      request.mode() == v1::ACCESS_MODE_UNSPECIFIED ? v1::READ_ONLY : request.mode();
  if (!v1::AccessMode_IsValid(mode)) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT, "mode is not a mode");
  }
  if (absl::Status s = CheckOpenable(segment); !s.ok()) return s;
  if (absl::Status s = CheckDevices(state, segment, host); !s.ok()) return s;
  const SegmentId id(segment.id());
  auto existing = state.grants.find({id, host});
  if (existing != state.grants.end() && !IsReleasing(state, id, host)) {
    const v1::Grant& grant = existing->second.grant();
    if (grant.state() == v1::GRANT_REVOKING) {
      const absl::Status taken = CheckNotTaken(state, segment);
      return taken.ok() ? Held(state, segment, grant) : taken;
    }
    if (grant.mode() >= mode) return Reply(state, grant, segment);
  }
  if (absl::Status s = CheckNotRecovering(state, segment); !s.ok()) return s;
  if (absl::Status s = CheckNotTaken(state, segment); !s.ok()) return s;
  if (const v1::Grant* other = FindExcluding(state, id, host, mode); other != nullptr) {
    return Held(state, segment, *other);
  }
  if (state.hosts.at(host).grants.size() >= state.options.max_grants_per_host) {
    return MakeError(absl::StatusCode::kResourceExhausted, v1::QUOTA,
                     absl::StrCat(host, " holds ", state.options.max_grants_per_host,
                                  " segments, the most a host can hold: close some"));
  }
  MakeGrant(state, context, segment, host, mode, NextToken(state, changes), changes);
  const v1::Grant& grant = state.grants.at({id, host}).grant();
  TellOfGrant(state, context, grant, changes);
  return Reply(state, grant, segment);
}

absl::Status ReleaseGrant(State& state, const Context& context, const std::string& host,
                          const v1::ReleaseGrantRequest& request, Changes& changes) {
  if (absl::Status s = CheckSession(state, host, request.session_id()); !s.ok()) return s;
  const SegmentId id(request.segment_id());
  auto it = state.grants.find({id, host});
  if (it == state.grants.end()) {
    ReleaseStray(state, context, id, host, FromProto(request.token()), changes);
    return absl::OkStatus();
  }
  if (FromProto(request.token()) < FromProto(it->second.grant().token())) return absl::OkStatus();
  DropGrant(state, context, id, host, changes);
  return absl::OkStatus();
}

v1::AccessMode ModeOf(const v1::HeldGrant& held) {
  return held.mode() == v1::READ_WRITE ? v1::READ_WRITE : v1::READ_ONLY;
}

const v1::Grant* FindExcluding(const State& state, SegmentId id, const std::string& host,
                               v1::AccessMode mode) {
  const v1::Segment& segment = SegmentById(state, id).segment();
  for (auto it = FirstGrant(state, id); it != state.grants.end() && it->first.first == id; ++it) {
    if (it->first.second == host || IsReleasing(state, id, it->first.second)) continue;
    if (Excludes(segment, it->second.grant(), mode)) return &it->second.grant();
  }
  return nullptr;
}

void GrantHeld(State& state, const Context& context, const std::string& host,
               const v1::HeldGrant& held, Changes& changes) {
  const SegmentId id(held.segment_id());
  const v1::AccessMode mode = ModeOf(held);
  const auto known = state.grants.find({id, host});
  const bool is_other = known == state.grants.end() || known->second.grant().mode() != mode;
  const v1::Segment segment = SegmentById(state, id).segment();
  MakeGrant(state, context, segment, host, mode, FromProto(held.token()), changes);
  if (is_other) TellOfGrant(state, context, state.grants.at({id, host}).grant(), changes);
  const bool keeps = segment.state() == v1::SEGMENT_ACTIVE && CheckNotDraining(state, host).ok();
  if (!keeps) RevokeGrant(state, context, id, host, changes);
}

std::vector<std::string> HoldersOf(const State& state, SegmentId segment) {
  std::vector<std::string> holders;
  for (auto it = FirstGrant(state, segment); it != state.grants.end() && it->first.first == segment;
       ++it) {
    if (!IsReleasing(state, segment, it->first.second)) holders.push_back(it->first.second);
  }
  return holders;
}

void RevokeGrant(State& state, const Context& context, SegmentId segment, const std::string& host,
                 Changes& changes) {
  store::v1::GrantRecord& record = state.grants.at({segment, host});
  if (record.grant().state() == v1::GRANT_REVOKING || IsReleasing(state, segment, host)) return;
  record.mutable_grant()->set_state(v1::GRANT_REVOKING);
  changes.Put(keys::Grant(segment, host), record);
  changes.Assign(host, ToAssignment(state, record));
  Emit(state, context, v1::GRANT_REVOKE_STARTED, record.grant().segment(), record.grant().host(),
       "", changes);
}

void StartRevoke(State& state, const Context& context, SegmentId segment, Changes& changes) {
  for (const std::string& host : HoldersOf(state, segment)) {
    RevokeGrant(state, context, segment, host, changes);
  }
}

void RefreshHolders(State& state, SegmentId segment, Changes& changes) {
  for (const std::string& host : HoldersOf(state, segment)) {
    changes.Assign(host, ToAssignment(state, state.grants.at({segment, host})));
  }
}

void PutReleasing(State& state, const std::string& id, Changes& changes) {
  HostState& host = state.hosts.at(id);
  host.record.clear_releasing_segments();
  for (const SegmentId segment : host.releasing) {
    host.record.add_releasing_segments(segment.value());
  }
  changes.Put(keys::Host(id), host.record);
}

std::string GrantAssignmentKey(SegmentId segment) {
  return absl::StrCat("grant/", segment.value());
}

void UnassignGrant(const std::string& host, SegmentId segment, Changes& changes) {
  changes.Unassign(host, GrantAssignmentKey(segment));
}

void ForgetGrants(State& state, const Context& context, SegmentId segment, Changes& changes) {
  for (auto it = FirstGrant(state, segment); it != state.grants.end() && it->first.first == segment;
       it = FirstGrant(state, segment)) {
    ForgetGrant(state, context, segment, std::string(it->first.second), changes);
  }
}

void DropGrant(State& state, const Context& context, SegmentId segment, const std::string& host,
               Changes& changes) {
  ForgetGrant(state, context, segment, host, changes);
  const bool deleting = SegmentById(state, segment).segment().state() == v1::SEGMENT_DELETING;
  if (deleting && HoldersOf(state, segment).empty()) {
    FinishDelete(state, context, segment, changes);
  } else if (!HasGrants(state, segment)) {
    TryToMove(state, context, segment, changes);
  }
}

void AppendGrantAssignments(const State& state, const std::string& host,
                            v1::Assignments& assignments) {
  for (const SegmentId segment : state.hosts.at(host).grants) {
    if (IsReleasing(state, segment, host)) continue;
    *assignments.add_upserts() = ToAssignment(state, state.grants.at({segment, host}));
  }
}

absl::StatusOr<v1::ListGrantsResponse> ListGrants(const State& state,
                                                  const v1::ListGrantsRequest& request) {
  SegmentId only;
  if (request.parent() != "pools/-/segments/-") {
    absl::StatusOr<SegmentKey> key = FindSegment(state, request.parent());
    if (!key.ok()) return key.status();
    only = SegmentId(state.segments.at(*key).segment().id());
  }
  std::string last;
  if (absl::Status s = DecodePageToken(request.page_token(), &last); !s.ok()) return s;
  GrantKey after(only, "");
  if (!last.empty()) {
    const size_t slash = last.find('/');
    uint64_t id = 0;
    if (slash == std::string::npos || !absl::SimpleAtoi(last.substr(0, slash), &id))
      return BadPageToken();
    after = {SegmentId(id), last.substr(slash + 1)};
  }
  v1::ListGrantsResponse response;
  const int32_t page_size = PageSize(request.page_size());
  for (auto it = state.grants.upper_bound(after); it != state.grants.end(); ++it) {
    if (only != SegmentId() && it->first.first != only) break;
    if (response.grants_size() == page_size) {
      const GrantKey& given = std::prev(it)->first;
      response.set_next_page_token(
          EncodePageToken(absl::StrCat(given.first.value(), "/", given.second)));
      break;
    }
    *response.add_grants() = it->second.grant();
  }
  return response;
}

}  // namespace weft
