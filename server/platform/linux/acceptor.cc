#include "server/platform/linux/acceptor.h"

#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>

#include "server/core/check.h"

namespace weft {
namespace {

UniqueFd MakeReserve() { return UniqueFd(eventfd(0, EFD_CLOEXEC)); }

}  // namespace

Acceptor::Acceptor() : reserve_(MakeReserve()) {}

UniqueFd Acceptor::Accept(int listener) {
  UniqueFd connection(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!connection.valid() && (errno == EMFILE || errno == ENFILE)) TurnAway(listener);
  return connection;
}

void Acceptor::TurnAway(int listener) {
  reserve_ = UniqueFd();
  {
    const UniqueFd turned_away(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  }
  reserve_ = MakeReserve();
}

PeerCredentials CredentialsOf(int connection) {
  ucred credentials = {};
  socklen_t size = sizeof(credentials);
  WEFT_CHECK(getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0, errno);
  return {credentials.pid, credentials.uid, credentials.gid};
}

}  // namespace weft
