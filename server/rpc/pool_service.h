// weft.v1.PoolService on the coordinator.

#ifndef WEFT_SERVER_RPC_POOL_SERVICE_H_
#define WEFT_SERVER_RPC_POOL_SERVICE_H_

#include "proto/weft/v1/pool.grpc.pb.h"
#include "server/rpc/calls.h"

namespace weft {

class PoolService final : public v1::PoolService::CallbackService {
 public:
  explicit PoolService(const ServiceDeps& deps) : deps_(deps) {}

  grpc::ServerUnaryReactor* CreatePool(grpc::CallbackServerContext* context,
                                       const v1::CreatePoolRequest* request,
                                       v1::Pool* reply) override;
  grpc::ServerUnaryReactor* GetPool(grpc::CallbackServerContext* context,
                                    const v1::GetPoolRequest* request, v1::Pool* reply) override;
  grpc::ServerUnaryReactor* ListPools(grpc::CallbackServerContext* context,
                                      const v1::ListPoolsRequest* request,
                                      v1::ListPoolsResponse* reply) override;
  grpc::ServerUnaryReactor* DeletePool(grpc::CallbackServerContext* context,
                                       const v1::DeletePoolRequest* request,
                                       google::protobuf::Empty* reply) override;
  grpc::ServerUnaryReactor* AddDevice(grpc::CallbackServerContext* context,
                                      const v1::AddDeviceRequest* request,
                                      v1::Pool* reply) override;

 private:
  const ServiceDeps deps_;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_POOL_SERVICE_H_
