// One Backup call.

#ifndef WEFT_SERVER_RPC_BACKUP_STREAM_H_
#define WEFT_SERVER_RPC_BACKUP_STREAM_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "grpcpp/support/server_callback.h"
#include "proto/weft/v1/cluster.pb.h"
#include "server/rpc/calls.h"

namespace weft {

// Copies all records on the executor, which takes well under a second for a large cluster, and
// writes them out in chunks. One thing at a time: whoever is called back next owns the fields.
class BackupStream final : public grpc::ServerWriteReactor<v1::BackupChunk>,
                           public std::enable_shared_from_this<BackupStream> {
 public:
  // Lives until gRPC is done with the call.
  static BackupStream* Start(const ServiceDeps& deps, grpc::CallbackServerContext* context);

 private:
  explicit BackupStream(const ServiceDeps& deps) : deps_(deps) {}

  void OnWriteDone(bool ok) override;
  void OnDone() override { self_.reset(); }

  void Copy(Caller caller);
  void WriteNext();

  const ServiceDeps deps_;
  std::shared_ptr<BackupStream> self_;
  std::string bytes_;
  size_t written_ = 0;
  v1::BackupChunk chunk_;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_BACKUP_STREAM_H_
