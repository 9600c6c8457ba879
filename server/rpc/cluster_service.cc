#include "server/rpc/cluster_service.h"

#include "server/core/status.h"
#include "server/rpc/backup_stream.h"

namespace weft {

grpc::ServerUnaryReactor* ClusterService::GetStatus(grpc::CallbackServerContext* context,
                                                    const v1::GetStatusRequest* request,
                                                    v1::ClusterStatus* reply) {
  return StartRead(
      deps_, context, "GetStatus", request, reply,
      [start = start_](const State& state, const Now& now, const v1::GetStatusRequest&) {
        v1::ClusterStatus status = StatusOf(state);
        const absl::Duration uptime = now.monotonic - start.since_start();
        status.set_uptime_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(uptime)));
        return absl::StatusOr<v1::ClusterStatus>(std::move(status));
      });
}

grpc::ServerWriteReactor<v1::BackupChunk>* ClusterService::Backup(
    grpc::CallbackServerContext* context, const v1::BackupRequest* /*request*/) {
  return BackupStream::Start(deps_, backups_, context);
}

}  // namespace weft
