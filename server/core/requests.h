// Request ids: the same request twice has one effect and one reply.

#ifndef WEFT_SERVER_CORE_REQUESTS_H_
#define WEFT_SERVER_CORE_REQUESTS_H_

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message_lite.h"
#include "proto/weft/v1/grant.pb.h"
#include "server/core/state.h"

namespace weft {

// The serialised reply that the principal's request of this id got, if there was one.
//   INVALID_ARGUMENT BAD_ARGUMENT: the id is longer than 64 bytes or not printable ASCII
//     without "/".
//   INVALID_ARGUMENT REQUEST_ID_REUSED: it had another method or body.
//   RESOURCE_EXHAUSTED QUOTA: the principal, or all together, have the maximum of young
//     records.
absl::StatusOr<std::optional<std::string>> FindReply(const State& state, const Context& context,
                                                     std::string_view request_id,
                                                     std::string_view request_hash);

// Keeps `reply`. REQUIRES: FindReply said OK and nothing.
void KeepReply(State& state, const Context& context, const std::string& request_id,
               std::string_view request_hash, std::string reply, Changes& changes);

// Forgets up to `max` records whose time is over.
void ForgetOldRequests(State& state, const Context& context, size_t max, Changes& changes);

// A digest of a method's name and a request.
std::string HashRequest(std::string_view method, const google::protobuf::MessageLite& request);

// Whether a request's reply is kept. A grant's is not: one that was taken back since would
// be handed out again. Acquiring a grant is idempotent by itself.
template <typename Request>
inline constexpr bool kKeepsReply = !std::is_same_v<Request, v1::AcquireGrantRequest>;

// Runs `command(changes) -> StatusOr<Reply>` once for `request.request_id()`: a repetition
// returns the first reply. An empty id always runs it. Failures are not remembered.
template <typename Reply, typename Request, typename Command>
absl::StatusOr<Reply> Once(State& state, const Context& context, std::string_view method,
                           const Request& request, Changes& changes, Command command) {
  if (!kKeepsReply<Request> || request.request_id().empty()) return command(changes);
  const std::string hash = HashRequest(method, request);
  absl::StatusOr<std::optional<std::string>> found =
      FindReply(state, context, request.request_id(), hash);
  if (!found.ok()) return found.status();
  if (found->has_value()) {
    Reply reply;
    reply.ParseFromString(**found);
    return reply;
  }
  absl::StatusOr<Reply> reply = command(changes);
  if (reply.ok()) {
    KeepReply(state, context, request.request_id(), hash, reply->SerializeAsString(), changes);
  }
  return reply;
}

}  // namespace weft

#endif  // WEFT_SERVER_CORE_REQUESTS_H_
