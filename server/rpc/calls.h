// What all unary calls have in common: from a request to a command and back.

#ifndef WEFT_SERVER_RPC_CALLS_H_
#define WEFT_SERVER_RPC_CALLS_H_

#include <string_view>
#include <type_traits>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "google/protobuf/empty.pb.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "server/coordinator/executor.h"
#include "server/core/requests.h"
#include "server/core/state.h"
#include "server/platform/clock.h"
#include "server/rpc/identity.h"

namespace weft {

// Hears of every finished operation. Thread-safe.
class CallRecorder {
 public:
  virtual ~CallRecorder() = default;
  virtual void RecordCall(std::string_view method, const absl::Status& status,
                          absl::Duration latency) = 0;
};

// What a service needs. All outlive it.
struct ServiceDeps {
  CommandExecutor& executor;
  const Clock& clock;
  CallRecorder& recorder;
};

// What a call does on the executor, once its caller is known and may make it.
using CallBody = absl::AnyInvocable<absl::Status(State&, const Context&, const Caller&, Changes&)>;

// The command of a call that `caller` makes.
Command ToCommand(Caller caller, Access access, CommandKind kind, CallBody body,
                  Command::Done done);

// Identifies the caller, runs `body` as a command, and finishes the call with what comes
// out. `method` must be a literal.
grpc::ServerUnaryReactor* StartCall(const ServiceDeps& deps, grpc::CallbackServerContext* context,
                                    std::string_view method, Access access, CommandKind kind,
                                    CallBody body);

namespace internal {

inline absl::StatusOr<google::protobuf::Empty> ToReply(absl::Status status) {
  if (!status.ok()) return status;
  return google::protobuf::Empty();
}

template <typename Reply>
absl::StatusOr<Reply> ToReply(absl::StatusOr<Reply> reply) {
  return reply;
}

template <typename Reply>
absl::Status Deliver(absl::StatusOr<Reply> result, Reply* reply) {
  if (result.ok()) *reply = *std::move(result);
  return result.status();
}

}  // namespace internal

// The body of a call that changes something: see StartMutation. `request` and `reply` outlive
// the command.
template <typename Request, typename Reply, typename Fn>
CallBody MutationBody(std::string_view method, const Request* request, Reply* reply, Fn fn) {
  return [method, request, reply, fn](State& state, const Context& context, const Caller& caller,
                                      Changes& changes) {
    return internal::Deliver(
        Once<Reply>(state, context, method, *request, changes,
                    [&](Changes& staged) {
                      return internal::ToReply(fn(state, context, caller, *request, staged));
                    }),
        reply);
  };
}

// A call that changes something: `fn(State&, const Context&, const Caller&, const Request&,
// Changes&)` returns a StatusOr<Reply>, or a Status for an Empty. It runs once for a
// request id. gRPC keeps request and reply until the call is finished.
template <typename Request, typename Reply, typename Fn>
grpc::ServerUnaryReactor* StartMutation(const ServiceDeps& deps,
                                        grpc::CallbackServerContext* context,
                                        std::string_view method, Access access,
                                        const Request* request, Reply* reply, Fn fn) {
  return StartCall(deps, context, method, access, CommandKind::kMutation,
                   MutationBody(method, request, reply, std::move(fn)));
}

// The body of a linearizable read: see StartRead. `request` and `reply` outlive the command.
template <typename Request, typename Reply, typename Fn>
CallBody ReadBody(const Request* request, Reply* reply, Fn fn) {
  return [request, reply, fn](State& state, const Context& context, const Caller&, Changes&) {
    return internal::Deliver<Reply>(fn(std::as_const(state), context.now, *request), reply);
  };
}

// A linearizable read: `fn(const State&, const Now&, const Request&)` returns a
// StatusOr<Reply>.
template <typename Request, typename Reply, typename Fn>
grpc::ServerUnaryReactor* StartRead(const ServiceDeps& deps, grpc::CallbackServerContext* context,
                                    std::string_view method, const Request* request, Reply* reply,
                                    Fn fn) {
  return StartCall(deps, context, method, Access::kEveryone, CommandKind::kConfirmed,
                   ReadBody(request, reply, std::move(fn)));
}

}  // namespace weft

#endif  // WEFT_SERVER_RPC_CALLS_H_
