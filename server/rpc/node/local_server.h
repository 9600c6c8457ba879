// weftd's gRPC socket for local clients: NodeService, and SegmentService forwarded to the
// coordinator in the caller's name.

#ifndef WEFT_SERVER_RPC_NODE_LOCAL_SERVER_H_
#define WEFT_SERVER_RPC_NODE_LOCAL_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "grpcpp/channel.h"
#include "server/platform/linux/listen.h"
#include "server/rpc/node/local_api.h"

namespace weft {

class LocalServer {
 public:
  using ChannelFn = std::function<std::shared_ptr<grpc::Channel>()>;

  virtual ~LocalServer() = default;

  // Serves on `address` (`unix:<path>`), to whom `access` lets in, until Shutdown, which must come
  // before destruction.
  // `channel` gives the one to the coordinator. Errors: as StartServer.
  static absl::StatusOr<std::unique_ptr<LocalServer>> Start(const std::string& address,
                                                            const SocketAccess& access,
                                                            LocalApi& api, ChannelFn channel);
  // Ends the calls under way, and waits for it: the api still has to answer.
  virtual void Shutdown() = 0;
  // What the health service says.
  virtual void SetServing(bool serving) = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_NODE_LOCAL_SERVER_H_
