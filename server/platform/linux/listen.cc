#include "server/platform/linux/listen.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/platform/linux/errno_status.h"

// Since Linux 6.16: whether a peer may send descriptors. To close one can block for as long as the
// sender likes.
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

namespace weft {
namespace {

struct UnixAddress {
  sockaddr_un address = {};
  socklen_t size = 0;
  bool abstract = false;
};

absl::StatusOr<UnixAddress> AddressOf(const std::string& path) {
  UnixAddress result;
  if (path.size() >= sizeof(result.address.sun_path)) {
    return ErrnoError(ENAMETOOLONG, "bind", path);
  }
  result.abstract = path.starts_with('\0');
  result.address.sun_family = AF_UNIX;
  std::memcpy(result.address.sun_path, path.data(), path.size());
  result.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() +
                                       (result.abstract ? 0 : 1));
  return result;
}

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

absl::StatusOr<AddressList> Resolve(const std::string& address) {
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const std::string port = colon == std::string::npos ? "" : address.substr(colon + 1);
  addrinfo hints = {};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int error = EAI_SERVICE;
  if (!port.empty()) {
    error = getaddrinfo(host.empty() ? nullptr : host.c_str(), port.c_str(), &hints, &found);
  }
  if (error != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("it is no host:port of this machine: ", gai_strerror(error)));
  }
  return AddressList(found, freeaddrinfo);
}

void SetPort(sockaddr* address, int port) {
  const in_port_t number = htons(static_cast<in_port_t>(port));
  if (address->sa_family == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(address)->sin6_port = number;
  } else {
    reinterpret_cast<sockaddr_in*>(address)->sin_port = number;
  }
}

int PortOf(int socket) {
  sockaddr_storage bound = {};
  socklen_t size = sizeof(bound);
  WEFT_CHECK(getsockname(socket, reinterpret_cast<sockaddr*>(&bound), &size) == 0, errno);
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                           : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
}

// Invalid, and errno says why: it cannot.
UniqueFd ListenAt(const addrinfo& at, bool alone) {
  UniqueFd listener(socket(at.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int yes = 1;
  // Alone, [::] is every address of both families.
  const int v6_only = alone ? 0 : 1;
  const bool listens =
      listener.valid() &&
      setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
      setsockopt(listener.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)) == 0 &&
      (at.ai_family != AF_INET6 ||
       setsockopt(listener.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only)) == 0) &&
      bind(listener.get(), at.ai_addr, at.ai_addrlen) == 0 &&
      listen(listener.get(), SOMAXCONN) == 0;
  return listens ? std::move(listener) : UniqueFd();
}

}  // namespace

absl::StatusOr<UniqueFd> ListenUnix(const std::string& path, int type, const SocketAccess& access) {
  const absl::StatusOr<UnixAddress> at = AddressOf(path);
  if (!at.ok()) return at.status();
  UniqueFd listener(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!listener.valid()) return ErrnoError(errno, "socket", path);
  struct stat there = {};
  if (!at->abstract && lstat(path.c_str(), &there) == 0 && S_ISSOCK(there.st_mode) &&
      unlink(path.c_str()) != 0) {
    return ErrnoError(errno, "unlink", path);
  }
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&at->address), at->size) != 0) {
    return ErrnoError(errno, "bind", path);
  }
  if (access.mode && !at->abstract && chmod(path.c_str(), *access.mode) != 0) {
    return ErrnoError(errno, "chmod", path);
  }
  if (access.group && !at->abstract && chown(path.c_str(), uid_t(-1), *access.group) != 0) {
    return ErrnoError(errno, "chown", path);
  }
  // Connections inherit it. Not in older kernels, which close what clients send.
  const int no = 0;
  setsockopt(listener.get(), SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof(no));
  if (listen(listener.get(), SOMAXCONN) != 0) return ErrnoError(errno, "listen", path);
  return listener;
}

absl::StatusOr<TcpListeners> ListenTcp(const std::string& address) {
  const absl::StatusOr<AddressList> addresses = Resolve(address);
  if (!addresses.ok()) return addresses.status();
  TcpListeners listeners;
  int error = 0;
  for (const addrinfo* at = addresses->get(); at != nullptr; at = at->ai_next) {
    if (listeners.port != 0) SetPort(at->ai_addr, listeners.port);
    UniqueFd listener = ListenAt(*at, /*alone=*/(*addresses)->ai_next == nullptr);
    if (!listener.valid()) {
      error = errno;
      // A machine can lack a family that the resolver knows.
      if (error == EAFNOSUPPORT || error == EADDRNOTAVAIL) continue;
      return ErrnoError(error, "listen", address);
    }
    listeners.port = PortOf(listener.get());
    listeners.sockets.push_back(std::move(listener));
  }
  if (listeners.sockets.empty()) return ErrnoError(error, "listen", address);
  return listeners;
}

}  // namespace weft
