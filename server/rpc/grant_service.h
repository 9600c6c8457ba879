// weft.v1.GrantService on the coordinator.

#ifndef WEFT_SERVER_RPC_GRANT_SERVICE_H_
#define WEFT_SERVER_RPC_GRANT_SERVICE_H_

#include "proto/weft/v1/grant.grpc.pb.h"
#include "server/rpc/calls.h"

namespace weft {

class GrantService final : public v1::GrantService::CallbackService {
 public:
  explicit GrantService(const ServiceDeps& deps) : deps_(deps) {}

  grpc::ServerUnaryReactor* ListGrants(grpc::CallbackServerContext* context,
                                       const v1::ListGrantsRequest* request,
                                       v1::ListGrantsResponse* reply) override;
  grpc::ServerUnaryReactor* AcquireGrant(grpc::CallbackServerContext* context,
                                         const v1::AcquireGrantRequest* request,
                                         v1::AcquireGrantResponse* reply) override;
  grpc::ServerUnaryReactor* ReleaseGrant(grpc::CallbackServerContext* context,
                                         const v1::ReleaseGrantRequest* request,
                                         google::protobuf::Empty* reply) override;

 private:
  const ServiceDeps deps_;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_GRANT_SERVICE_H_
