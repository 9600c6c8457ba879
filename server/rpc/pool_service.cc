#include "server/rpc/pool_service.h"

#include "server/core/pools.h"

namespace weft {

grpc::ServerUnaryReactor* PoolService::CreatePool(grpc::CallbackServerContext* context,
                                                  const v1::CreatePoolRequest* request,
                                                  v1::Pool* reply) {
  return StartMutation(
      deps_, context, "CreatePool", Access::kAdmin, request, reply,
      [](State& state, const Context& core, const Caller&, const v1::CreatePoolRequest& r,
         Changes& changes) { return weft::CreatePool(state, core, r, changes); });
}

grpc::ServerUnaryReactor* PoolService::GetPool(grpc::CallbackServerContext* context,
                                               const v1::GetPoolRequest* request, v1::Pool* reply) {
  return StartRead(deps_, context, "GetPool", request, reply,
                   [](const State& state, const Now&, const v1::GetPoolRequest& r) {
                     return weft::GetPool(state, r);
                   });
}

grpc::ServerUnaryReactor* PoolService::ListPools(grpc::CallbackServerContext* context,
                                                 const v1::ListPoolsRequest* request,
                                                 v1::ListPoolsResponse* reply) {
  return StartRead(deps_, context, "ListPools", request, reply,
                   [](const State& state, const Now&, const v1::ListPoolsRequest& r) {
                     return weft::ListPools(state, r);
                   });
}

grpc::ServerUnaryReactor* PoolService::DeletePool(grpc::CallbackServerContext* context,
                                                  const v1::DeletePoolRequest* request,
                                                  google::protobuf::Empty* reply) {
  return StartMutation(
      deps_, context, "DeletePool", Access::kAdmin, request, reply,
      [](State& state, const Context& core, const Caller&, const v1::DeletePoolRequest& r,
         Changes& changes) { return weft::DeletePool(state, core, r, changes); });
}

grpc::ServerUnaryReactor* PoolService::AddDevice(grpc::CallbackServerContext* context,
                                                 const v1::AddDeviceRequest* request,
                                                 v1::Pool* reply) {
  return StartMutation(
      deps_, context, "AddDevice", Access::kAdmin, request, reply,
      [](State& state, const Context& core, const Caller&, const v1::AddDeviceRequest& r,
         Changes& changes) { return weft::AddDevice(state, core, r, changes); });
}

}  // namespace weft
