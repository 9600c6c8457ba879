// What clients of the fd socket have sent and the executor has not taken up.

#ifndef WEFT_SERVER_NODE_FD_INBOX_H_
#define WEFT_SERVER_NODE_FD_INBOX_H_

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/core/shares.h"
#include "server/platform/packet_server.h"

namespace weft {

struct FdInboxOptions {
  // Of all users, who have a share each.
  size_t max_connections = 4096;
  size_t max_bytes = size_t{64} << 20;
  // Of one connection.
  size_t max_connection_bytes = size_t{512} << 10;
};

struct FdEvent {
  ConnectionId connection = 0;
  PeerCredentials peer;
  // Absent: the connection is over. What it sent has come before.
  std::optional<std::string> packet;
};

// Users take turns, and so do the connections of each user, with one packet at a time: who
// sends much waits behind itself. Thread-safe.
class FdInbox {
 public:
  explicit FdInbox(const FdInboxOptions& options)
      : options_(options), connections_share_(options.max_connections), bytes_(options.max_bytes) {}

  // False: the user has its share of connections; nothing is kept of this one.
  bool Connect(ConnectionId connection, const PeerCredentials& peer);
  // False: the connection, or its user, has sent too much that is not taken up yet.
  bool Add(ConnectionId connection, std::string packet);
  // Nothing if Connect did not have it.
  void Close(ConnectionId connection);

  std::optional<FdEvent> Next();
  bool empty() const;

 private:
  struct Connection {
    PeerCredentials peer;
    std::string user;
    std::deque<std::string> packets;
    size_t bytes = 0;
    bool over = false;
  };

  // It has something to say, and had nothing before.
  void Enqueue(ConnectionId id, const std::string& user) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static bool IsIdle(const Connection& connection) {
    return connection.packets.empty() && !connection.over;
  }

  const FdInboxOptions options_;
  mutable absl::Mutex mu_;
  std::map<ConnectionId, Connection> connections_ ABSL_GUARDED_BY(mu_);
  Shares connections_share_ ABSL_GUARDED_BY(mu_);
  Shares bytes_ ABSL_GUARDED_BY(mu_);
  // By user, the connections that are not idle, in turn; and their users, in turn.
  std::map<std::string, std::deque<ConnectionId>> waiting_ ABSL_GUARDED_BY(mu_);
  std::deque<std::string> turns_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_FD_INBOX_H_
