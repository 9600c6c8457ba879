// A SOCK_SEQPACKET server for tests: what it answers is up to the test.

#ifndef WEFT_CLIENT_SDK_TESTING_FD_SERVER_H_
#define WEFT_CLIENT_SDK_TESTING_FD_SERVER_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/sdk/internal/unique_fd.h"
#include "proto/weft/v1/node.pb.h"

namespace weft::sdk {

class FdServer {
 public:
  // One client's connection. Thread-safe.
  class Peer {
   public:
    explicit Peer(UniqueFd socket) : socket_(std::move(socket)) {}

    // To a client that is gone: does nothing.
    void Send(const v1::ServerMessage& message, const std::vector<int>& fds = {});
    void SendBytes(std::string_view bytes, const std::vector<int>& fds = {});
    void HangUp();
    int socket() const { return socket_.get(); }

   private:
    const UniqueFd socket_;
  };

  // Called on a thread of the connection's own. A packet that cannot be parsed ends it.
  using Handler = std::function<void(std::shared_ptr<Peer> peer, const v1::ClientMessage&)>;

  // Listens at `path`, which it first removes. Aborts if it cannot.
  FdServer(const std::string& path, Handler handler);
  // Hangs up on everyone.
  ~FdServer();

 private:
  void Accept();
  void Serve(std::shared_ptr<Peer> peer);

  const Handler handler_;
  UniqueFd listener_;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::shared_ptr<Peer>> peers_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mu_);
  std::thread acceptor_;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_TESTING_FD_SERVER_H_
