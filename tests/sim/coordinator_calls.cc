// Unary calls, as gRPC's services take them.

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "google/protobuf/empty.pb.h"
#include "server/core/devices.h"
#include "server/core/drain.h"
#include "server/core/fencing.h"
#include "server/core/grants.h"
#include "server/core/pools.h"
#include "server/core/quarantine.h"
#include "server/core/segments.h"
#include "server/core/token_proto.h"
#include "server/rpc/calls.h"
#include "server/rpc/identity.h"
#include "tests/sim/coordinator_running.h"
#include "tests/sim/truth.h"

namespace weft::sim {
namespace {

// What a unary call is made of, kept until it is answered.
template <typename Request, typename Reply>
struct Call {
  Request request;
  Reply reply;
};

template <typename Reply>
constexpr bool kHasToken = std::is_same_v<Reply, v1::AcquireGrantResponse>;

// The request as a coordinator with a planted bug takes it.
template <typename Request>
void Spoil(const World& world, Request& request) {
  if constexpr (requires { request.set_request_id(""); }) {
    if (world.bugs.forget_request_id) request.clear_request_id();
  }
  if constexpr (std::is_same_v<Request, v1::CreatePoolRequest>) {
    if (world.bugs.ignore_fence_policy) request.mutable_pool()->set_fencing(v1::LEASE);
  }
}

template <typename Result>
struct ReplyFrom {
  using Type = google::protobuf::Empty;
};
template <typename Reply>
struct ReplyFrom<absl::StatusOr<Reply>> {
  using Type = Reply;
};

}  // namespace

// One call, until it is the process's command. `fn` is what core has for it.
class CoordinatorSim::UnaryCall {
 public:
  UnaryCall(Running& running, Caller caller, const std::string& bytes, Answer answer)
      : running_(running), caller_(std::move(caller)), bytes_(bytes), answer_(std::move(answer)) {}

  template <typename Request, typename Result>
  void Change(const char* name, Access access,
              Result (*fn)(State&, const Context&, const Request&, Changes&)) {
    ChangeAs<Request, Result>(name, access,
                              [fn](State& s, const Context& c, const Caller&, const Request& r,
                                   Changes& changes) { return fn(s, c, r, changes); });
  }
  // For the host whose daemon calls.
  template <typename Request, typename Result>
  void ChangeForHost(const char* name, Result (*fn)(State&, const Context&, const std::string&,
                                                    const Request&, Changes&)) {
    ChangeAs<Request, Result>(name, Access::kDaemon,
                              [fn](State& s, const Context& c, const Caller& who, const Request& r,
                                   Changes& changes) { return fn(s, c, who.host, r, changes); });
  }
  template <typename Request, typename Reply>
  void Read(absl::StatusOr<Reply> (*fn)(const State&, const Request&)) {
    Submit<Request, Reply>(
        CommandKind::kConfirmed, Access::kEveryone, [fn](const Request* request, Reply* reply) {
          return ReadBody(request, reply,
                          [fn](const State& s, const Now&, const Request& r) { return fn(s, r); });
        });
  }

 private:
  template <typename Request, typename Result, typename Fn>
  void ChangeAs(const char* name, Access access, Fn fn) {
    using Reply = typename ReplyFrom<Result>::Type;
    Submit<Request, Reply>(CommandKind::kMutation, access,
                           [name, fn](const Request* request, Reply* reply) {
                             return MutationBody(name, request, reply, fn);
                           });
  }

  // `make_body(request, reply)` gives the command's body.
  template <typename Request, typename Reply, typename MakeBody>
  void Submit(CommandKind kind, Access access, MakeBody make_body) {
    auto call = std::make_shared<Call<Request, Reply>>();
    call->request.ParseFromString(bytes_);
    const World& world = running_.machine.world_;
    Spoil(world, call->request);
    if (world.logging()) {
      world.Log(running_.machine.name_, ": call of \"", caller_.host,
                "\": ", call->request.GetDescriptor()->name(), " ",
                call->request.ShortDebugString());
    }
    auto done = [&running = running_, call, answer = answer_](const absl::Status& status) {
      const Bugs& bugs = running.machine.world_.bugs;
      running.Say(
          [&running, call, answer, status] {
            if (!status.ok()) return answer(OverGrpc(status));
            if constexpr (kHasToken<Reply>) {
              running.machine.truth_.OnTokenLeaves(FromProto(call->reply.grant().token()));
            }
            answer(call->reply.SerializeAsString());
          },
          kHasToken<Reply> ? bugs.token_before_durable : bugs.acknowledge_before_commit);
    };
    running_.Submit(Lane::kRequest, ToCommand(caller_, access, kind,
                                              make_body(&call->request, &call->reply), done));
  }

  Running& running_;
  const Caller caller_;
  const std::string& bytes_;
  const Answer answer_;
};

void CoordinatorSim::Handle(const CallerClaims& claims, Method method, const std::string& bytes,
                            Answer answer) {
  if (running_ == nullptr) return answer(NobodyListens());
  const absl::StatusOr<Caller> caller =
      IdentifyCaller(Peer(), Claims{claims.host, claims.session, claims.principal});
  if (!caller.ok()) return answer(OverGrpc(caller.status()));
  if (method == Method::kReleaseGrant && world_.bugs.ignore_releases) {
    return answer(google::protobuf::Empty().SerializeAsString());
  }
  UnaryCall call(*running_, *caller, bytes, std::move(answer));
  switch (method) {
    case Method::kCreatePool:
      return call.Change("CreatePool", Access::kAdmin, CreatePool);
    case Method::kCreateSegment:
      return call.Change("CreateSegment", Access::kEveryone, CreateSegment);
    case Method::kGetSegment:
      return call.Read(GetSegment);
    case Method::kGrowSegment:
      return call.Change("GrowSegment", Access::kEveryone, GrowSegment);
    case Method::kDeleteSegment:
      return call.Change("DeleteSegment", Access::kEveryone, DeleteSegment);
    case Method::kAcquireGrant:
      return call.ChangeForHost("AcquireGrant", AcquireGrant);
    case Method::kReleaseGrant:
      return call.ChangeForHost("ReleaseGrant", ReleaseGrant);
    case Method::kFenceHost:
      return call.Change("FenceHost", Access::kAdmin, FenceHost);
    case Method::kGetDevice:
      return call.Read(GetDevice);
    case Method::kListDevices:
      return call.Read(ListDevices);
    case Method::kDrainDevice:
      return call.Change("DrainDevice", Access::kAdmin, DrainDevice);
    case Method::kUndrainDevice:
      return call.Change("UndrainDevice", Access::kAdmin, UndrainDevice);
    case Method::kClearPoison:
      return call.Change("ClearPoison", Access::kAdmin, ClearPoison);
  }
}

}  // namespace weft::sim
