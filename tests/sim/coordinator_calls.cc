// Unary calls, as gRPC's services take them.

#include <memory>
#include <string>
#include <type_traits>

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

}  // namespace

void CoordinatorSim::Handle(const CallerClaims& claims, Method method, const std::string& bytes,
                            Answer answer) {
  if (running_ == nullptr) {
    answer(NobodyListens());
    return;
  }
  Running& running = *running_;
  const absl::StatusOr<Caller> caller =
      IdentifyCaller(Peer(), Claims{claims.host, claims.session, claims.principal});
  if (!caller.ok()) {
    answer(OverGrpc(caller.status()));
    return;
  }
  // `make_body(request, reply)` gives the call's body.
  const auto submit = [&]<typename Request, typename Reply>(CommandKind kind, Access access,
                                                            Call<Request, Reply>, auto make_body) {
    auto call = std::make_shared<Call<Request, Reply>>();
    call->request.ParseFromString(bytes);
    Spoil(world_, call->request);
    if (world_.logging()) {
      world_.Log(name_, ": call of \"", claims.host, "\": ", call->request.GetDescriptor()->name(),
                 " ", call->request.ShortDebugString());
    }
    auto done = [&running, call, answer](const absl::Status& status) {
      running.Say(
          [&running, call, answer, status] {
            if (!status.ok()) return answer(OverGrpc(status));
            if constexpr (kHasToken<Reply>) {
              running.machine.truth_.OnTokenLeaves(FromProto(call->reply.grant().token()));
            }
            answer(call->reply.SerializeAsString());
          },
          kHasToken<Reply> ? running.machine.world_.bugs.token_before_durable
                           : running.machine.world_.bugs.acknowledge_before_commit);
    };
    running.Submit(Lane::kRequest,
                   ToCommand(*caller, access, kind, make_body(&call->request, &call->reply), done));
  };
  const auto mutation = [&]<typename Request, typename Reply>(const char* name, Access access,
                                                              Call<Request, Reply> call, auto fn) {
    submit(CommandKind::kMutation, access, call,
           [&](auto* request, auto* reply) { return MutationBody(name, request, reply, fn); });
  };
  const auto read = [&]<typename Request, typename Reply>(Call<Request, Reply> call, auto fn) {
    submit(CommandKind::kConfirmed, Access::kEveryone, call,
           [&](auto* request, auto* reply) { return ReadBody(request, reply, fn); });
  };
  using google::protobuf::Empty;
  switch (method) {
    case Method::kCreatePool:
      mutation("CreatePool", Access::kAdmin, Call<v1::CreatePoolRequest, v1::Pool>(),
               [](State& s, const Context& c, const Caller&, const v1::CreatePoolRequest& r,
                  Changes& changes) { return CreatePool(s, c, r, changes); });
      break;
    case Method::kCreateSegment:
      mutation("CreateSegment", Access::kEveryone, Call<v1::CreateSegmentRequest, v1::Segment>(),
               [](State& s, const Context& c, const Caller&, const v1::CreateSegmentRequest& r,
                  Changes& changes) { return CreateSegment(s, c, r, changes); });
      break;
    case Method::kGetSegment:
      read(Call<v1::GetSegmentRequest, v1::Segment>(),
           [](const State& s, const Now&, const v1::GetSegmentRequest& r) {
             return GetSegment(s, r);
           });
      break;
    case Method::kGrowSegment:
      mutation("GrowSegment", Access::kEveryone, Call<v1::GrowSegmentRequest, v1::Segment>(),
               [](State& s, const Context& c, const Caller&, const v1::GrowSegmentRequest& r,
                  Changes& changes) { return GrowSegment(s, c, r, changes); });
      break;
    case Method::kDeleteSegment:
      mutation("DeleteSegment", Access::kEveryone, Call<v1::DeleteSegmentRequest, Empty>(),
               [](State& s, const Context& c, const Caller&, const v1::DeleteSegmentRequest& r,
                  Changes& changes) { return DeleteSegment(s, c, r, changes); });
      break;
    case Method::kAcquireGrant:
      mutation("AcquireGrant", Access::kDaemon,
               Call<v1::AcquireGrantRequest, v1::AcquireGrantResponse>(),
               [](State& s, const Context& c, const Caller& who, const v1::AcquireGrantRequest& r,
                  Changes& changes) { return AcquireGrant(s, c, who.host, r, changes); });
      break;
    case Method::kReleaseGrant:
      if (world_.bugs.ignore_releases) return answer(Empty().SerializeAsString());
      mutation("ReleaseGrant", Access::kDaemon, Call<v1::ReleaseGrantRequest, Empty>(),
               [](State& s, const Context& c, const Caller& who, const v1::ReleaseGrantRequest& r,
                  Changes& changes) { return ReleaseGrant(s, c, who.host, r, changes); });
      break;
    case Method::kFenceHost:
      mutation("FenceHost", Access::kAdmin, Call<v1::FenceHostRequest, v1::Host>(),
               [](State& s, const Context& c, const Caller&, const v1::FenceHostRequest& r,
                  Changes& changes) { return FenceHost(s, c, r, changes); });
      break;
    case Method::kGetDevice:
      read(Call<v1::GetDeviceRequest, v1::Device>(),
           [](const State& s, const Now&, const v1::GetDeviceRequest& r) {
             return GetDevice(s, r);
           });
      break;
    case Method::kListDevices:
      read(Call<v1::ListDevicesRequest, v1::ListDevicesResponse>(),
           [](const State& s, const Now&, const v1::ListDevicesRequest& r) {
             return ListDevices(s, r);
           });
      break;
    case Method::kDrainDevice:
      mutation("DrainDevice", Access::kAdmin, Call<v1::DrainDeviceRequest, v1::Device>(),
               [](State& s, const Context& c, const Caller&, const v1::DrainDeviceRequest& r,
                  Changes& changes) { return DrainDevice(s, c, r, changes); });
      break;
    case Method::kUndrainDevice:
      mutation("UndrainDevice", Access::kAdmin, Call<v1::UndrainDeviceRequest, v1::Device>(),
               [](State& s, const Context& c, const Caller&, const v1::UndrainDeviceRequest& r,
                  Changes& changes) { return UndrainDevice(s, c, r, changes); });
      break;
    case Method::kClearPoison:
      mutation("ClearPoison", Access::kAdmin, Call<v1::ClearPoisonRequest, v1::Device>(),
               [](State& s, const Context& c, const Caller&, const v1::ClearPoisonRequest& r,
                  Changes& changes) { return ClearPoison(s, c, r, changes); });
      break;
  }
}

}  // namespace weft::sim
