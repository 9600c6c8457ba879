#include "server/platform/linux/packet_socket.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "server/core/check.h"
#include "server/platform/linux/errno_status.h"

namespace weft {
namespace {

// What epoll says about other descriptors than a connection's.
constexpr ConnectionId kListener = 0;
constexpr ConnectionId kWake = 1;
// Between them the connections that ended are dropped, and clients heard.
constexpr int kMaxAcceptsInARow = 16;
constexpr size_t kFdCost = 4096;

size_t CostOf(const std::string& packet, size_t fds) { return packet.size() + 64 + fds * kFdCost; }

// 0, or the errno: EAGAIN if the client must read first.
int SendPacket(int socket, const std::string& packet, const std::vector<UniqueFd>& fds) {
  iovec data = {.iov_base = const_cast<char*>(packet.data()), .iov_len = packet.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxPacketFds * sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &data;
  header.msg_iovlen = 1;
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    cmsghdr* const part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    for (size_t i = 0; i < fds.size(); ++i) {
      const int fd = fds[i].get();
      std::memcpy(CMSG_DATA(part) + i * sizeof(int), &fd, sizeof(fd));
    }
  }
  while (sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PacketSocket>> PacketSocket::Listen(
    const PacketSocketOptions& options) {
  // The daemon's lock on its state keeps a second one away: what is there is a leftover.
  absl::StatusOr<UniqueFd> listener = ListenUnix(options.path, SOCK_SEQPACKET, options.access);
  if (!listener.ok()) return listener.status();
  UniqueFd poll(epoll_create1(EPOLL_CLOEXEC));
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!poll.valid() || !wake.valid()) {
    return ErrnoError(errno, "epoll_create", options.path);
  }
  epoll_event event = {.events = EPOLLIN, .data = {.u64 = kListener}};
  WEFT_CHECK(epoll_ctl(poll.get(), EPOLL_CTL_ADD, listener->get(), &event) == 0, errno);
  event.data.u64 = kWake;
  WEFT_CHECK(epoll_ctl(poll.get(), EPOLL_CTL_ADD, wake.get(), &event) == 0, errno);
  return std::unique_ptr<PacketSocket>(
      new PacketSocket(options, *std::move(listener), std::move(poll), std::move(wake)));
}

void PacketSocket::Run(PacketHandler& handler) {
  buffer_.resize(kMaxPacketBytes + 1);
  std::array<epoll_event, 64> events;
  for (;;) {
    const int count = epoll_wait(poll_.get(), events.data(), events.size(), -1);
    WEFT_CHECK(count >= 0 || errno == EINTR, errno);
    for (int i = 0; i < count; ++i) {
      const ConnectionId id = events[i].data.u64;
      if (id == kListener) {
        Accept(handler);
      } else if (id != kWake && !Receive(handler, id)) {
        Drop(handler, id);
      }
    }
    std::vector<ConnectionId> rest;
    {
      absl::MutexLock lock(&mu_);
      if (!stopped_) continue;
      for (const auto& [id, connection] : connections_) rest.push_back(id);
    }
    for (const ConnectionId id : rest) Drop(handler, id);
    return;
  }
}

void PacketSocket::Stop() {
  absl::MutexLock lock(&mu_);
  stopped_ = true;
  const uint64_t one = 1;
  WEFT_CHECK(write(wake_.get(), &one, sizeof(one)) == sizeof(one), errno);
}

void PacketSocket::Accept(PacketHandler& handler) {
  for (int i = 0; i < kMaxAcceptsInARow; ++i) {
    UniqueFd socket = acceptor_.Accept(listener_.get());
    if (!socket.valid()) return;
    const PeerCredentials peer = CredentialsOf(socket.get());
    ConnectionId id = 0;
    {
      absl::MutexLock lock(&mu_);
      if (connections_.size() >= options_.max_connections) continue;
      id = ++last_id_;
      Connection& connection = connections_[id];
      connection.socket = std::move(socket);
      Watch(id, connection, EPOLL_CTL_ADD);
    }
    handler.OnConnected(id, peer);
  }
}

bool PacketSocket::Receive(PacketHandler& handler, ConnectionId id) {
  int socket = -1;
  {
    absl::MutexLock lock(&mu_);
    const auto found = connections_.find(id);
    if (found == connections_.end()) return true;  // dropped earlier in this round
    if (found->second.closing) return false;
    Flush(id, found->second);
    socket = found->second.socket.get();
  }
  // Only this thread closes sockets. Descriptors that a client sends are not asked for:
  // without room for them the kernel drops them.
  for (int packets = 0; packets < 16; ++packets) {
    const ssize_t size = recv(socket, buffer_.data(), buffer_.size(), MSG_TRUNC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return errno == EAGAIN;
    if (size == 0 || static_cast<size_t>(size) > kMaxPacketBytes) return false;
    handler.OnPacket(id, buffer_.substr(0, static_cast<size_t>(size)));
  }
  return true;
}

void PacketSocket::Drop(PacketHandler& handler, ConnectionId id) {
  {
    absl::MutexLock lock(&mu_);
    const auto found = connections_.find(id);
    HangUp(found->second);
    // With packets left unread the kernel would take back what the client was sent last.
    while (recv(found->second.socket.get(), buffer_.data(), buffer_.size(), 0) > 0) {
    }
    connections_.erase(found);
  }
  handler.OnClosed(id);
}

void PacketSocket::Send(ConnectionId id, std::string packet, std::vector<UniqueFd> fds) {
  absl::MutexLock lock(&mu_);
  const auto found = connections_.find(id);
  if (found == connections_.end() || found->second.closing) return;
  Connection& connection = found->second;
  const bool fits = packet.size() <= kMaxPacketBytes && fds.size() <= kMaxPacketFds &&
                    connection.queued_bytes < options_.max_queued_bytes;
  if (!fits) {
    HangUp(connection);
    return;
  }
  const bool was_empty = connection.queue.empty();
  connection.queued_bytes += CostOf(packet, fds.size());
  connection.queue.push_back({std::move(packet), std::move(fds)});
  if (was_empty) Flush(id, connection);
}

void PacketSocket::Close(ConnectionId id) {
  absl::MutexLock lock(&mu_);
  const auto found = connections_.find(id);
  if (found != connections_.end()) HangUp(found->second);
}

void PacketSocket::Flush(ConnectionId id, Connection& connection) {
  const bool had_to_wait = !connection.queue.empty();
  while (!connection.queue.empty()) {
    const Outgoing& front = connection.queue.front();
    const int error = SendPacket(connection.socket.get(), front.packet, front.fds);
    if (error == EAGAIN || error == EWOULDBLOCK) break;
    if (error != 0) {
      HangUp(connection);
      return;
    }
    connection.queued_bytes -= CostOf(front.packet, front.fds.size());
    connection.queue.pop_front();
  }
  if (had_to_wait) Watch(id, connection, EPOLL_CTL_MOD);
}

void PacketSocket::Watch(ConnectionId id, const Connection& connection, int operation) {
  const uint32_t events = connection.queue.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT;
  epoll_event event = {.events = events, .data = {.u64 = id}};
  WEFT_CHECK(epoll_ctl(poll_.get(), operation, connection.socket.get(), &event) == 0, errno);
}

void PacketSocket::HangUp(Connection& connection) {
  connection.closing = true;
  connection.queue.clear();
  shutdown(connection.socket.get(), SHUT_RDWR);
}

}  // namespace weft
