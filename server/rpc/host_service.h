// weft.v1.HostService on the coordinator.

#ifndef WEFT_SERVER_RPC_HOST_SERVICE_H_
#define WEFT_SERVER_RPC_HOST_SERVICE_H_

#include "proto/weft/v1/host.grpc.pb.h"
#include "server/rpc/calls.h"

namespace weft {

class HostService final : public v1::HostService::CallbackService {
 public:
  explicit HostService(const ServiceDeps& deps) : deps_(deps) {}

  grpc::ServerUnaryReactor* GetHost(grpc::CallbackServerContext* context,
                                    const v1::GetHostRequest* request, v1::Host* reply) override;
  grpc::ServerUnaryReactor* ListHosts(grpc::CallbackServerContext* context,
                                      const v1::ListHostsRequest* request,
                                      v1::ListHostsResponse* reply) override;
  grpc::ServerUnaryReactor* FenceHost(grpc::CallbackServerContext* context,
                                      const v1::FenceHostRequest* request,
                                      v1::Host* reply) override;
  grpc::ServerUnaryReactor* DrainHost(grpc::CallbackServerContext* context,
                                      const v1::DrainHostRequest* request,
                                      v1::Host* reply) override;
  grpc::ServerUnaryReactor* UndrainHost(grpc::CallbackServerContext* context,
                                        const v1::UndrainHostRequest* request,
                                        v1::Host* reply) override;

 private:
  const ServiceDeps deps_;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_HOST_SERVICE_H_
