// A SOCK_SEQPACKET unix socket and an event loop that serves it.

#ifndef WEFT_SERVER_PLATFORM_LINUX_PACKET_SOCKET_H_
#define WEFT_SERVER_PLATFORM_LINUX_PACKET_SOCKET_H_

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/platform/linux/acceptor.h"
#include "server/platform/linux/listen.h"
#include "server/platform/packet_server.h"
#include "server/platform/unique_fd.h"

namespace weft {

struct PacketSocketOptions {
  std::string path;
  SocketAccess access{.mode = 0666};
  // More than the handler has a use for: it can tell those beyond why they are turned away.
  size_t max_connections = 8192;
  // Kept for a client that does not read: bytes, of which a descriptor counts for 4 KiB. One
  // packet is kept whatever its size.
  size_t max_queued_bytes = size_t{256} << 10;
};

class PacketSocket final : public PacketServer {
 public:
  // Listens. A socket that a dead process left at the path is replaced; clients are told
  // nothing until Run. Errors: the errno of a system call, with the path.
  static absl::StatusOr<std::unique_ptr<PacketSocket>> Listen(const PacketSocketOptions& options);

  // Serves until Stop, then ends all connections. For a thread of its own; `handler` is
  // called by that thread.
  void Run(PacketHandler& handler);
  void Stop();

  void Send(ConnectionId connection, std::string packet, std::vector<UniqueFd> fds) override;
  void Close(ConnectionId connection) override;

 private:
  struct Outgoing {
    std::string packet;
    std::vector<UniqueFd> fds;
  };
  struct Connection {
    UniqueFd socket;
    std::deque<Outgoing> queue;
    size_t queued_bytes = 0;
    // Told to the kernel; the loop sees it as the client's hanging up.
    bool closing = false;
  };

  PacketSocket(PacketSocketOptions options, UniqueFd listener, UniqueFd poll, UniqueFd wake)
      : options_(std::move(options)),
        listener_(std::move(listener)),
        poll_(std::move(poll)),
        wake_(std::move(wake)) {}

  void Accept(PacketHandler& handler) ABSL_LOCKS_EXCLUDED(mu_);
  // False: the connection is over.
  bool Receive(PacketHandler& handler, ConnectionId id) ABSL_LOCKS_EXCLUDED(mu_);
  void Drop(PacketHandler& handler, ConnectionId id) ABSL_LOCKS_EXCLUDED(mu_);
  void Flush(ConnectionId id, Connection& connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Watch(ConnectionId id, const Connection& connection, int operation)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static void HangUp(Connection& connection);

  const PacketSocketOptions options_;
  const UniqueFd listener_;
  const UniqueFd poll_;
  const UniqueFd wake_;
  Acceptor acceptor_;
  std::string buffer_;

  absl::Mutex mu_;
  std::map<ConnectionId, Connection> connections_ ABSL_GUARDED_BY(mu_);
  ConnectionId last_id_ ABSL_GUARDED_BY(mu_) = 1;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_PACKET_SOCKET_H_
