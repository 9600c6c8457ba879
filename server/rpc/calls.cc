#include "server/rpc/calls.h"

#include "server/rpc/status.h"

namespace weft {

Command ToCommand(Caller caller, Access access, CommandKind kind, CallBody body,
                  Command::Done done) {
  Command command;
  command.kind = kind;
  command.run = [caller = std::move(caller), access, body = std::move(body)](
                    State& state, const Now& now, Changes& changes) mutable {
    if (absl::Status status = Authorize(state, caller, access); !status.ok()) return status;
    return body(state, Context{now, caller.principal, caller.host}, caller, changes);
  };
  command.done = std::move(done);
  return command;
}

grpc::ServerUnaryReactor* StartCall(const ServiceDeps& deps, grpc::CallbackServerContext* context,
                                    std::string_view method, Access access, CommandKind kind,
                                    CallBody body) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const MonotonicTime start = deps.clock.MonotonicNow();
  auto finish = [reactor, method, start, deps](const absl::Status& status) {
    deps.recorder.RecordCall(method, status, deps.clock.MonotonicNow() - start);
    reactor->Finish(ToGrpcStatus(status));
  };
  absl::StatusOr<Caller> caller = IdentifyCaller(PeerOf(*context), ClaimsOf(*context));
  if (!caller.ok()) {
    finish(caller.status());
    return reactor;
  }
  deps.executor.Submit(Lane::kRequest, ToCommand(*std::move(caller), access, kind, std::move(body),
                                                 std::move(finish)));
  return reactor;
}

}  // namespace weft
