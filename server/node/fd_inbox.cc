#include "server/node/fd_inbox.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace weft {
namespace {

// A packet with what is kept beside its bytes.
size_t CostOf(const std::string& packet) { return packet.size() + 256; }

}  // namespace

bool FdInbox::Connect(ConnectionId id, const PeerCredentials& peer) {
  std::string user = absl::StrCat(peer.uid);
  absl::MutexLock lock(&mu_);
  if (!connections_share_.Take(user)) return false;
  Connection& connection = connections_[id];
  connection.peer = peer;
  connection.user = std::move(user);
  return true;
}

bool FdInbox::Add(ConnectionId id, std::string packet) {
  absl::MutexLock lock(&mu_);
  Connection& connection = connections_.at(id);
  const size_t cost = CostOf(packet);
  if (connection.bytes + cost > options_.max_connection_bytes ||
      !bytes_.Take(connection.user, cost)) {
    return false;
  }
  connection.bytes += cost;
  if (IsIdle(connection)) Enqueue(id, connection.user);
  connection.packets.push_back(std::move(packet));
  return true;
}

void FdInbox::Close(ConnectionId id) {
  absl::MutexLock lock(&mu_);
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  if (IsIdle(found->second)) Enqueue(id, found->second.user);
  found->second.over = true;
}

void FdInbox::Enqueue(ConnectionId id, const std::string& user) {
  std::deque<ConnectionId>& of_user = waiting_[user];
  if (of_user.empty()) turns_.push_back(user);
  of_user.push_back(id);
}

std::optional<FdEvent> FdInbox::Next() {
  absl::MutexLock lock(&mu_);
  if (turns_.empty()) return std::nullopt;
  const std::string user = std::move(turns_.front());
  turns_.pop_front();
  const auto of_user = waiting_.find(user);
  const ConnectionId id = of_user->second.front();
  of_user->second.pop_front();
  Connection& connection = connections_.at(id);
  FdEvent event{id, connection.peer, std::nullopt};
  if (connection.packets.empty()) {
    connections_share_.Return(user);
    connections_.erase(id);
  } else {
    event.packet = std::move(connection.packets.front());
    connection.packets.pop_front();
    const size_t cost = CostOf(*event.packet);
    connection.bytes -= cost;
    bytes_.Return(user, cost);
    if (!IsIdle(connection)) of_user->second.push_back(id);
  }
  if (of_user->second.empty()) {
    waiting_.erase(of_user);
  } else {
    turns_.push_back(user);
  }
  return event;
}

bool FdInbox::empty() const {
  absl::MutexLock lock(&mu_);
  return turns_.empty();
}

}  // namespace weft
