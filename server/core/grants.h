// Grants: see GrantService in proto/weft/v1/grant.proto for what each call does.

#ifndef WEFT_SERVER_CORE_GRANTS_H_
#define WEFT_SERVER_CORE_GRANTS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "proto/weft/v1/grant.pb.h"
#include "proto/weft/v1/session.pb.h"
#include "server/core/state.h"

namespace weft {

// `host` is who the transport says it is.
absl::StatusOr<v1::AcquireGrantResponse> AcquireGrant(State& state, const Context& context,
                                                      const std::string& host,
                                                      const v1::AcquireGrantRequest& request,
                                                      Changes& changes);
absl::Status ReleaseGrant(State& state, const Context& context, const std::string& host,
                          const v1::ReleaseGrantRequest& request, Changes& changes);

absl::StatusOr<v1::ListGrantsResponse> ListGrants(const State& state,
                                                  const v1::ListGrantsRequest& request);

// The hosts that hold `segment`, in order; not those whose grants wait to be dropped.
std::vector<std::string> HoldersOf(const State& state, SegmentId segment);

v1::AccessMode ModeOf(const v1::HeldGrant& held);

// Another host's grant that excludes one of `mode` for `host`; null: there is none. Those that wait
// to be dropped exclude nobody.
const v1::Grant* FindExcluding(const State& state, SegmentId segment, const std::string& host,
                               v1::AccessMode mode);

// Grants the host what it already has, under the token under which it has it: a later one would
// end what its programs have mapped. REQUIRES: no other host's grant excludes it, and its own, if
// one is recorded, has an earlier token.
void GrantHeld(State& state, const Context& context, const std::string& host,
               const v1::HeldGrant& held, Changes& changes);

// Tells the host to let go of the segment, if it has not been told. REQUIRES: there is such a
// grant.
void RevokeGrant(State& state, const Context& context, SegmentId segment, const std::string& host,
                 Changes& changes);

// Tells every holder to let go.
void StartRevoke(State& state, const Context& context, SegmentId segment, Changes& changes);

// Tells every holder how the segment is now, after it grew.
void RefreshHolders(State& state, SegmentId segment, Changes& changes);

// The host cannot touch the segment any more: forgets its grant, and goes on with what
// waited for that. REQUIRES: there is such a grant.
void DropGrant(State& state, const Context& context, SegmentId segment, const std::string& host,
               Changes& changes);

// Of the assignment of a grant, or of a stray.
std::string GrantAssignmentKey(SegmentId segment);
// The host's grant of `segment` is not its to use any more.
void UnassignGrant(const std::string& host, SegmentId segment, Changes& changes);

// Brings the host's record up to date with the grants that wait to be dropped.
void PutReleasing(State& state, const std::string& host, Changes& changes);

// Forgets the grants of a segment that nobody holds, which wait to be dropped.
void ForgetGrants(State& state, const Context& context, SegmentId segment, Changes& changes);

void AppendGrantAssignments(const State& state, const std::string& host,
                            v1::Assignments& assignments);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_GRANTS_H_
