// The addresses of a server that runs several times, of which one leads.

#ifndef WEFT_SERVER_RPC_ENDPOINTS_H_
#define WEFT_SERVER_RPC_ENDPOINTS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/channel.h"
#include "grpcpp/security/credentials.h"
#include "server/rpc/channel.h"

namespace weft {

// Stays with the one that answers. Thread-safe. Connects when a channel is first used, and
// again whenever the connection is lost.
class Endpoints {
 public:
  // `addresses`: `host:port` or `unix:PATH`, with commas between several.
  Endpoints(std::string addresses, std::shared_ptr<grpc::ChannelCredentials> credentials,
            const ChannelTimes& times);

  // Where the next call goes.
  std::shared_ptr<grpc::Channel> current() const ABSL_LOCKS_EXCLUDED(mu_);
  std::string current_address() const ABSL_LOCKS_EXCLUDED(mu_);

  // A call over `channel` ended with `error`, which another server may not give: the next one
  // goes to the leader that it names, or else to the next address. No-op if another call has
  // moved on already.
  void MoveOn(const std::shared_ptr<grpc::Channel>& channel, const absl::Status& error)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Whether there is another one to try.
  bool several() const ABSL_LOCKS_EXCLUDED(mu_);
  // As given.
  const std::string& text() const { return text_; }

 private:
  struct Endpoint {
    std::string address;
    std::shared_ptr<grpc::Channel> channel;
  };

  void Add(std::string address) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Adds it if it is new and there are not too many; `otherwise` else.
  size_t Find(const std::string& address, size_t otherwise) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string text_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  const ChannelTimes times_;
  mutable absl::Mutex mu_;
  std::vector<Endpoint> endpoints_ ABSL_GUARDED_BY(mu_);
  size_t current_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_ENDPOINTS_H_
