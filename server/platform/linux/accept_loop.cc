#include "server/platform/linux/accept_loop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/core/check.h"

namespace weft {
namespace {

// Between them others have their turn.
constexpr int kMaxAcceptsInARow = 64;
constexpr absl::Duration kSayInterval = absl::Seconds(1);
// To look at one takes a microsecond or so: all are looked at only so often.
constexpr absl::Duration kForgetInterval = absl::Microseconds(20);

std::string Text(int family, const void* address) {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(family, address, text, sizeof(text));
  return text;
}

std::string PeerOf(const in6_addr& address) {
  if (IN6_IS_ADDR_V4MAPPED(&address)) return Text(AF_INET, &address.s6_addr[12]);
  // A machine has all addresses of its network to choose from.
  in6_addr network = address;
  std::memset(&network.s6_addr[8], 0, 8);
  return absl::StrCat(Text(AF_INET6, &network), "/64");
}

// Nothing: it has hung up already.
std::optional<std::string> PeerOf(int socket) {
  sockaddr_storage peer = {};
  socklen_t size = sizeof(peer);
  if (getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return std::nullopt;
  if (peer.ss_family == AF_UNIX) return absl::StrCat("uid:", CredentialsOf(socket).uid);
  if (peer.ss_family == AF_INET6) return PeerOf(reinterpret_cast<sockaddr_in6&>(peer).sin6_addr);
  return Text(AF_INET, &reinterpret_cast<sockaddr_in&>(peer).sin_addr);
}

// Unique among the sockets there are; 0: the descriptor is none.
ino_t InodeOf(int fd) {
  struct stat there = {};
  return fstat(fd, &there) == 0 && S_ISSOCK(there.st_mode) ? there.st_ino : 0;
}

size_t MaxDescriptors() {
  rlimit limit = {};
  WEFT_CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0, errno);
  return limit.rlim_cur;
}

}  // namespace

AcceptLoop::AcceptLoop(std::vector<Entrance> entrances, size_t most)
    : entrances_(std::move(entrances)),
      wake_(eventfd(0, EFD_CLOEXEC)),
      shares_(std::min(most, MaxDescriptors() / 4)),
      thread_([this] { Run(); }) {
  WEFT_CHECK(wake_.valid(), errno);
}

AcceptLoop::~AcceptLoop() {
  const uint64_t one = 1;
  WEFT_CHECK(write(wake_.get(), &one, sizeof(one)) == sizeof(one), errno);
  thread_.join();
}

void AcceptLoop::Run() {
  std::vector<pollfd> waited = {{.fd = wake_.get(), .events = POLLIN, .revents = 0}};
  for (const Entrance& entrance : entrances_) {
    waited.push_back({.fd = entrance.listener.get(), .events = POLLIN, .revents = 0});
  }
  for (;;) {
    const int count = poll(waited.data(), waited.size(), -1);
    WEFT_CHECK(count >= 0 || errno == EINTR, errno);
    if (count < 0) continue;
    if (waited[0].revents != 0) return;
    for (size_t i = 0; i < entrances_.size(); ++i) {
      if (waited[i + 1].revents != 0) AcceptFrom(entrances_[i]);
    }
  }
}

void AcceptLoop::AcceptFrom(const Entrance& entrance) {
  for (int i = 0; i < kMaxAcceptsInARow; ++i) {
    UniqueFd socket = acceptor_.Accept(entrance.listener.get());
    if (!socket.valid()) return;
    if (!Admit(socket.get())) continue;
    entrance.take(entrance.listener.get(), std::move(socket));
  }
}

bool AcceptLoop::Admit(int socket) {
  const std::optional<std::string> peer = PeerOf(socket);
  if (!peer.has_value()) return false;
  if (!shares_.MayTake(*peer)) ForgetClosed();
  if (!shares_.Take(*peer)) {
    SayRefused(*peer);
    return false;
  }
  connections_.push_back({socket, InodeOf(socket), *peer});
  return true;
}

void AcceptLoop::ForgetClosed() {
  const absl::Time now = absl::Now();
  if (absl::AbsDuration(now - forgotten_at_) < kForgetInterval * connections_.size()) return;
  forgotten_at_ = now;
  connections_.remove_if([this](const Connection& connection) {
    if (InodeOf(connection.fd) == connection.inode) return false;
    shares_.Return(connection.peer);
    return true;
  });
}

void AcceptLoop::SayRefused(const std::string& peer) {
  ++refused_;
  const absl::Time now = absl::Now();
  if (absl::AbsDuration(now - said_at_) < kSayInterval) return;
  said_at_ = now;
  spdlog::warn("connections_refused since_last={} peer={}", std::exchange(refused_, 0), peer);
}

}  // namespace weft
