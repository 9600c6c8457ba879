// Taking in those who connect.

#ifndef WEFT_SERVER_PLATFORM_LINUX_ACCEPTOR_H_
#define WEFT_SERVER_PLATFORM_LINUX_ACCEPTOR_H_

#include "server/platform/packet_server.h"
#include "server/platform/unique_fd.h"

namespace weft {

// Not thread-safe.
class Acceptor {
 public:
  Acceptor();

  // The next connection to a non-blocking `listener`, non-blocking and closed on exec; invalid:
  // there is none now. When this process has no descriptor left the next one is hung up on: left
  // waiting it would wake its loop for ever.
  UniqueFd Accept(int listener);

 private:
  void TurnAway(int listener);

  // A descriptor to be given up for TurnAway.
  UniqueFd reserve_;
};

// Who connected to a unix socket. REQUIRES: `connection` is of one.
PeerCredentials CredentialsOf(int connection);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_ACCEPTOR_H_
