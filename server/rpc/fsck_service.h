// weft.v1.FsckService on the coordinator.

#ifndef WEFT_SERVER_RPC_FSCK_SERVICE_H_
#define WEFT_SERVER_RPC_FSCK_SERVICE_H_

#include "proto/weft/v1/fsck.grpc.pb.h"
#include "server/rpc/calls.h"
#include "server/rpc/session_registry.h"

namespace weft {

class FsckService final : public v1::FsckService::CallbackService {
 public:
  FsckService(const ServiceDeps& deps, SessionRegistry& registry)
      : deps_(deps), registry_(registry) {}

  grpc::ServerUnaryReactor* CheckRecords(grpc::CallbackServerContext* context,
                                         const v1::CheckRecordsRequest* request,
                                         v1::CheckResponse* reply) override;
  grpc::ServerUnaryReactor* CheckHost(grpc::CallbackServerContext* context,
                                      const v1::CheckHostRequest* request,
                                      v1::CheckResponse* reply) override;
  grpc::ServerUnaryReactor* Repair(grpc::CallbackServerContext* context,
                                   const v1::RepairRequest* request,
                                   google::protobuf::Empty* reply) override;

 private:
  const ServiceDeps deps_;
  SessionRegistry& registry_;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_FSCK_SERVICE_H_
