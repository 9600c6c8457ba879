// The protocol of the fd socket: see the end of proto/weft/v1/node.proto.

#ifndef WEFT_SERVER_NODE_FD_SERVICE_H_
#define WEFT_SERVER_NODE_FD_SERVICE_H_

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "proto/weft/v1/node.pb.h"
#include "server/core/shares.h"
#include "server/node/executor.h"
#include "server/node/fd_inbox.h"
#include "server/node/grant_keeper.h"
#include "server/node/node_metrics.h"
#include "server/node/tickets.h"
#include "server/platform/clock.h"
#include "server/platform/packet_server.h"

namespace weft {

// The newest that clients may speak.
inline constexpr uint32_t kFdProtocolVersion = 1;

struct FdServiceOptions {
  std::string host_id;
  // `unix:<path>` of the gRPC socket.
  std::string grpc_address;
  size_t max_unanswered = 64;
  // Opens and refreshes under way, of all users, who have a share each.
  size_t max_acquires = 4096;
  FdInboxOptions inbox;
};

// The PacketHandler half may be called by any one thread; everything else, what it leads to
// included, happens on the executor, where at most one packet waits at a time: clients, however
// many and whatever they send, keep it from nothing else.
class FdService final : public PacketHandler {
 public:
  FdService(FdServiceOptions options, Executor& executor, Clock& clock, PacketServer& server,
            Tickets& tickets, NodeMetrics& metrics)
      : options_(std::move(options)),
        executor_(executor),
        clock_(clock),
        server_(server),
        tickets_(tickets),
        metrics_(metrics),
        inbox_(options_.inbox),
        acquires_(options_.max_acquires) {}

  // To be called before the server runs.
  void SetKeeper(GrantKeeper& keeper) { keeper_ = &keeper; }

  void OnConnected(ConnectionId connection, const PeerCredentials& peer) override;
  void OnPacket(ConnectionId connection, std::string packet) override;
  void OnClosed(ConnectionId connection) override;

  // On the executor.
  void Notify(ConnectionId connection, const v1::ServerMessage& notice);

 private:
  struct Client {
    PeerCredentials peer;
    std::string principal;
    // Empty: has not said Hello.
    std::string ticket;
    size_t unanswered = 0;
  };
  // A request that is to be answered.
  struct Request {
    ConnectionId connection = 0;
    uint64_t sequence = 0;
    std::string operation;
    BootTime arrived;
    // Has a share of acquires_; empty: has none.
    std::string acquirer;
  };

  // Has the executor take packets up, one after another, until there is none.
  void Wake();
  void TakeUp();
  void Handle(const FdEvent& event);
  void Forget(ConnectionId connection);
  void Hear(ConnectionId connection, Client& client, const std::string& packet);
  void Drop(ConnectionId connection, const Client& client, const char* why);
  void Dispatch(const Request& request, Client& client, v1::ClientMessage message);
  void Greet(const Request& request, Client& client, const v1::Hello& hello);
  // Sends the reply, unless the client is gone.
  void Answer(const Request& request, const absl::Status& status, v1::ServerMessage message,
              std::vector<UniqueFd> fds = {});

  const FdServiceOptions options_;
  Executor& executor_;
  Clock& clock_;
  PacketServer& server_;
  Tickets& tickets_;
  NodeMetrics& metrics_;
  GrantKeeper* keeper_ = nullptr;
  FdInbox inbox_;
  // TakeUp is posted.
  std::atomic<bool> awake_ = false;
  // Those who have said something.
  std::map<ConnectionId, Client> clients_;
  Shares acquires_;
  // Until then no more clients that are dropped are logged.
  BootTime quiet_until_ = BootTime::InfinitePast();
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_FD_SERVICE_H_
