#include "server/rpc/host_service.h"

#include "server/core/drain.h"
#include "server/core/fencing.h"
#include "server/core/sessions.h"

namespace weft {

grpc::ServerUnaryReactor* HostService::GetHost(grpc::CallbackServerContext* context,
                                               const v1::GetHostRequest* request, v1::Host* reply) {
  return StartRead(deps_, context, "GetHost", request, reply,
                   [](const State& state, const Now& now, const v1::GetHostRequest& r) {
                     return weft::GetHost(state, now, r);
                   });
}

grpc::ServerUnaryReactor* HostService::ListHosts(grpc::CallbackServerContext* context,
                                                 const v1::ListHostsRequest* request,
                                                 v1::ListHostsResponse* reply) {
  return StartRead(deps_, context, "ListHosts", request, reply,
                   [](const State& state, const Now& now, const v1::ListHostsRequest& r) {
                     return weft::ListHosts(state, now, r);
                   });
}

grpc::ServerUnaryReactor* HostService::FenceHost(grpc::CallbackServerContext* context,
                                                 const v1::FenceHostRequest* request,
                                                 v1::Host* reply) {
  return StartMutation(
      deps_, context, "FenceHost", Access::kAdmin, request, reply,
      [](State& state, const Context& core, const Caller&, const v1::FenceHostRequest& r,
         Changes& changes) { return weft::FenceHost(state, core, r, changes); });
}

grpc::ServerUnaryReactor* HostService::DrainHost(grpc::CallbackServerContext* context,
                                                 const v1::DrainHostRequest* request,
                                                 v1::Host* reply) {
  return StartMutation(
      deps_, context, "DrainHost", Access::kAdmin, request, reply,
      [](State& state, const Context& core, const Caller&, const v1::DrainHostRequest& r,
         Changes& changes) { return weft::DrainHost(state, core, r, changes); });
}

grpc::ServerUnaryReactor* HostService::UndrainHost(grpc::CallbackServerContext* context,
                                                   const v1::UndrainHostRequest* request,
                                                   v1::Host* reply) {
  return StartMutation(
      deps_, context, "UndrainHost", Access::kAdmin, request, reply,
      [](State& state, const Context& core, const Caller&, const v1::UndrainHostRequest& r,
         Changes& changes) { return weft::UndrainHost(state, core, r, changes); });
}

}  // namespace weft
