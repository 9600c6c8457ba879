// Sessions and hosts: which machines are alive, and until when.

#ifndef WEFT_SERVER_CORE_SESSIONS_H_
#define WEFT_SERVER_CORE_SESSIONS_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/weft/v1/host.pb.h"
#include "proto/weft/v1/session.pb.h"
#include "server/core/state.h"

namespace weft {

// Newer ones are refused. 2: a session id is of one run of weftd, which relies on that; runs that
// speak 1 do not, and lose nothing by it.
inline constexpr uint32_t kSessionProtocolVersion = 2;

// Begins a session, or goes on with one: the same boot within the lease keeps its grants, the same
// run of weftd its id, too. See SessionService.Connect for the errors; also
// FAILED_PRECONDITION IN_USE: a machine with another boot id holds the host id now.
absl::StatusOr<v1::Registered> Register(State& state, const Context& context,
                                        const v1::Register& request, Changes& changes);

// Extends the session to now + T. Not durable, needs no commit: but the caller must have
// confirmed, after the renewal arrived, that it still leads.
// FAILED_PRECONDITION SESSION_EXPIRED.
absl::Status Renew(State& state, Now now, const std::string& host, std::string_view session_id);

// Takes one message other than Register and Renew. FAILED_PRECONDITION SESSION_EXPIRED;
// INVALID_ARGUMENT BAD_ARGUMENT.
absl::Status TakeReport(State& state, const Context& context, const std::string& host,
                        std::string_view session_id, const v1::NodeMessage& message,
                        Changes& changes);

// All that the host should have and do now. REQUIRES: it is known.
v1::Assignments WholeAssignments(const State& state, const std::string& host);

// OK if `session_id` is the host's live session; otherwise FAILED_PRECONDITION
// SESSION_EXPIRED, or FENCED.
absl::Status CheckSession(const State& state, const std::string& host, std::string_view session_id);

// Expires at most one session, the longest overdue, forgets at most 64 request records, and
// does a part of what larger events left (backlog.h): whatever happens, one call makes no
// more of a transaction than stores take. Returns when to call again (on Now::monotonic); that may
// be at once.
absl::Duration Tick(State& state, const Context& context, Changes& changes);

absl::StatusOr<v1::Host> GetHost(const State& state, Now now, const v1::GetHostRequest& request);
absl::StatusOr<v1::ListHostsResponse> ListHosts(const State& state, Now now,
                                                const v1::ListHostsRequest& request);
// The host with what is computed when it is read.
v1::Host ViewOf(const HostState& host, Now now);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_SESSIONS_H_
