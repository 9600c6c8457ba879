// A gRPC server with Weft's limits, credentials, health and reflection.

#ifndef WEFT_SERVER_RPC_SERVER_H_
#define WEFT_SERVER_RPC_SERVER_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/server.h"
#include "server/platform/linux/accept_loop.h"
#include "server/platform/linux/listen.h"
#include "server/rpc/tls_files.h"

namespace weft {

struct ServerOptions {
  // `host:port` (port 0: any that is free) or `unix:<path>`.
  std::vector<std::string> listen;
  // For all addresses but unix sockets.
  std::optional<TlsFiles> tls;
  // Allows addresses that other machines can reach without TLS.
  bool allow_insecure = false;
  // The greatest is a Register with all that a host may have, 16,384 grants and 512 devices, and
  // descriptions of 256 KiB: less than that.
  int max_receive_bytes = 1 << 20;
  // Of all peers, who have a share each: users of unix sockets, and addresses of other machines. No
  // more than a quarter of the descriptors that this process may have.
  size_t max_connections = 8192;
  // One on which nothing is said for so long is closed.
  absl::Duration handshake_timeout = absl::Seconds(10);
  // Of unix sockets.
  SocketAccess access;
};

struct RunningServer {
  std::unique_ptr<grpc::Server> server;
  // As ServerOptions::listen, with the ports that were bound.
  std::vector<std::string> addresses;
  // Gives it its connections: gRPC's own listeners take any number of them, and none ever again
  // once the process had no descriptor left.
  std::unique_ptr<AcceptLoop> accept_loop;
};

// Whether only this machine can connect to `address`.
bool IsLocalAddress(std::string_view address);

// Starts to serve `services`, which outlive the server. Its health is NOT_SERVING.
//   INVALID_ARGUMENT BAD_ARGUMENT: no address; one that is none; or one that other machines can
//     reach, without TLS and not allowed.
//   FAILED_PRECONDITION: a certificate file cannot be read, or an address cannot be bound.
absl::StatusOr<RunningServer> StartServer(const ServerOptions& options,
                                          const std::vector<grpc::Service*>& services);

// What grpc.health.v1.Health answers, for the whole server. Thread-safe.
void SetServing(grpc::Server& server, bool serving);

}  // namespace weft

#endif  // WEFT_SERVER_RPC_SERVER_H_
