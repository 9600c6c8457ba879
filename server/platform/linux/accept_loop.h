// Takes connections in, for a server that is handed them.

#ifndef WEFT_SERVER_PLATFORM_LINUX_ACCEPT_LOOP_H_
#define WEFT_SERVER_PLATFORM_LINUX_ACCEPT_LOOP_H_

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <list>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "server/core/shares.h"
#include "server/platform/linux/acceptor.h"
#include "server/platform/unique_fd.h"

namespace weft {

// Peers (users of unix sockets, addresses of other machines) have a share each; what is beyond it
// is closed at once. So is what comes when this process has no descriptor left.
class AcceptLoop {
 public:
  struct Entrance {
    UniqueFd listener;
    // Called with a non-blocking connection that came to it, by the loop's thread.
    std::function<void(int listener, UniqueFd connection)> take;
  };

  // Goes on until it is destroyed. It takes at most `most` connections, and a quarter of the
  // descriptors that this process may have.
  AcceptLoop(std::vector<Entrance> entrances, size_t most);
  ~AcceptLoop();

 private:
  // It is closed without a word to this: whether the descriptor still is that socket shows it.
  struct Connection {
    int fd = -1;
    ino_t inode = 0;
    std::string peer;
  };

  void Run();
  void AcceptFrom(const Entrance& entrance);
  // False: the peer has its share.
  bool Admit(int socket);
  void ForgetClosed();
  // Not of each: there can be any number.
  void SayRefused(const std::string& peer);

  const std::vector<Entrance> entrances_;
  const UniqueFd wake_;
  Acceptor acceptor_;
  Shares shares_;
  std::list<Connection> connections_;
  absl::Time forgotten_at_ = absl::InfinitePast();
  // Since it was said.
  size_t refused_ = 0;
  absl::Time said_at_ = absl::InfinitePast();
  std::thread thread_;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_ACCEPT_LOOP_H_
