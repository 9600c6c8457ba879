// One Backup call.

#ifndef WEFT_SERVER_RPC_BACKUP_STREAM_H_
#define WEFT_SERVER_RPC_BACKUP_STREAM_H_

#include <atomic>
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
// It holds the whole copy until its reader has it: only so many may be under way.
class BackupStream final : public grpc::ServerWriteReactor<v1::BackupChunk>,
                           public std::enable_shared_from_this<BackupStream> {
 public:
  static constexpr int kMaxUnderWay = 2;

  // Lives until gRPC is done with the call. `under_way` counts those that hold a copy, and
  // outlives them.
  static BackupStream* Start(const ServiceDeps& deps, std::atomic<int>& under_way,
                             grpc::CallbackServerContext* context);

 private:
  BackupStream(const ServiceDeps& deps, std::atomic<int>& under_way)
      : deps_(deps), under_way_(under_way) {}

  void OnWriteDone(bool ok) override;
  void OnDone() override;

  void Copy(Caller caller);
  void WriteNext();

  const ServiceDeps deps_;
  std::atomic<int>& under_way_;
  bool counted_ = false;
  std::shared_ptr<BackupStream> self_;
  std::string bytes_;
  size_t written_ = 0;
  v1::BackupChunk chunk_;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_BACKUP_STREAM_H_
