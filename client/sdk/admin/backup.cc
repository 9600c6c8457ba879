#include <memory>

#include "client/sdk/admin/rpc_client.h"
#include "proto/weft/v1/cluster.grpc.pb.h"

namespace weft::sdk {

absl::StatusOr<std::string> RpcClient::ReadBackup() {
  std::string bytes;
  const auto attempt = [&](const std::shared_ptr<grpc::Channel>& channel,
                           grpc::ClientContext& context) {
    v1::ClusterService::Stub stub(channel);
    bytes.clear();
    const std::unique_ptr<grpc::ClientReader<v1::BackupChunk>> reader =
        stub.Backup(&context, v1::BackupRequest());
    v1::BackupChunk chunk;
    while (reader->Read(&chunk)) bytes += chunk.data();
    return reader->Finish();
  };
  const absl::Status status = Repeat(attempt, /*attempt_timeout=*/options_.timeout);
  if (!status.ok()) return status;
  return bytes;
}

}  // namespace weft::sdk
