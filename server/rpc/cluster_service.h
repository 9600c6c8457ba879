// weft.v1.ClusterService on the coordinator.

#ifndef WEFT_SERVER_RPC_CLUSTER_SERVICE_H_
#define WEFT_SERVER_RPC_CLUSTER_SERVICE_H_

#include <atomic>

#include "proto/weft/v1/cluster.grpc.pb.h"
#include "server/rpc/calls.h"

namespace weft {

class ClusterService final : public v1::ClusterService::CallbackService {
 public:
  // Uptime counts from now on.
  explicit ClusterService(const ServiceDeps& deps)
      : deps_(deps), start_(deps.clock.MonotonicNow()) {}

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::ClusterStatus* reply) override;
  grpc::ServerWriteReactor<v1::BackupChunk>* Backup(grpc::CallbackServerContext* context,
                                                    const v1::BackupRequest* request) override;

 private:
  const ServiceDeps deps_;
  const MonotonicTime start_;
  std::atomic<int> backups_ = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_CLUSTER_SERVICE_H_
