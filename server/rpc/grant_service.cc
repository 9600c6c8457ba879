#include "server/rpc/grant_service.h"

#include "server/core/grants.h"

namespace weft {

grpc::ServerUnaryReactor* GrantService::ListGrants(grpc::CallbackServerContext* context,
                                                   const v1::ListGrantsRequest* request,
                                                   v1::ListGrantsResponse* reply) {
  return StartRead(deps_, context, "ListGrants", request, reply,
                   [](const State& state, const Now&, const v1::ListGrantsRequest& r) {
                     return weft::ListGrants(state, r);
                   });
}

grpc::ServerUnaryReactor* GrantService::AcquireGrant(grpc::CallbackServerContext* context,
                                                     const v1::AcquireGrantRequest* request,
                                                     v1::AcquireGrantResponse* reply) {
  return StartMutation(
      deps_, context, "AcquireGrant", Access::kDaemon, request, reply,
      [](State& state, const Context& core, const Caller& caller, const v1::AcquireGrantRequest& r,
         Changes& changes) { return weft::AcquireGrant(state, core, caller.host, r, changes); });
}

grpc::ServerUnaryReactor* GrantService::ReleaseGrant(grpc::CallbackServerContext* context,
                                                     const v1::ReleaseGrantRequest* request,
                                                     google::protobuf::Empty* reply) {
  return StartMutation(
      deps_, context, "ReleaseGrant", Access::kDaemon, request, reply,
      [](State& state, const Context& core, const Caller& caller, const v1::ReleaseGrantRequest& r,
         Changes& changes) { return weft::ReleaseGrant(state, core, caller.host, r, changes); });
}

}  // namespace weft
