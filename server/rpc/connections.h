// The connections of a gRPC server. gRPC's own listeners take any number of them, and none ever
// again once the process has had no descriptor left.

#ifndef WEFT_SERVER_RPC_CONNECTIONS_H_
#define WEFT_SERVER_RPC_CONNECTIONS_H_

#include <sys/types.h>

#include <cstddef>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "grpcpp/server_builder.h"
#include "server/core/shares.h"
#include "server/platform/unique_fd.h"

namespace weft {

// Where connections come in, and what takes them over.
struct Entry {
  UniqueFd listener;
  std::shared_ptr<grpc::experimental::ExternalConnectionAcceptor> server;
};

// Peers (users of unix sockets, addresses of other machines) have a share each; what is beyond it
// is closed at once.
class Connections {
 public:
  // Takes connections in until it is destroyed: at most `most`, and a quarter of the descriptors
  // that this process may have. REQUIRES: the server has started.
  Connections(std::vector<Entry> entries, size_t most);
  ~Connections();

 private:
  // gRPC closes a socket without a word: whether a descriptor still is that socket shows it.
  struct Connection {
    int fd = -1;
    ino_t inode = 0;
    std::string peer;
  };

  void Run();
  void AcceptFrom(const Entry& entry);
  // False: the peer has its share.
  bool Admit(int socket);
  void ForgetClosed();
  void TurnAway(int listener);

  const std::vector<Entry> entries_;
  const UniqueFd wake_;
  // A descriptor to be given up for TurnAway.
  UniqueFd reserve_;
  Shares shares_;
  std::list<Connection> connections_;
  absl::Time forgotten_at_ = absl::InfinitePast();
  // Peers whose refusal was logged.
  std::set<std::string> said_refused_;
  std::thread thread_;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_CONNECTIONS_H_
