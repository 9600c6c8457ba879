// One connection to weftd's fd socket: requests go out, replies are matched to them.

#ifndef WEFT_CLIENT_SDK_INTERNAL_FD_CHANNEL_H_
#define WEFT_CLIENT_SDK_INTERNAL_FD_CHANNEL_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/sdk/internal/deadline.h"
#include "client/sdk/internal/packet.h"
#include "client/sdk/internal/unique_fd.h"
#include "proto/weft/v1/node.pb.h"

namespace weft::sdk {

// Thread-safe, but for Greet and Run, which one thread calls, in this order.
class FdChannel {
 public:
  // As node.proto says.
  static constexpr size_t kMaxUnanswered = 64;

  struct Reply {
    v1::ServerMessage message;
    std::vector<UniqueFd> fds;
  };

  // Called by Run for each message: before a reply is handed to its caller, so that what
  // the reply says is known before anything that weftd sends after it. `awaited`: a caller
  // will get it. Not awaited are notices, and replies whose caller gave up.
  using Observer = absl::FunctionRef<void(const v1::ServerMessage& message, bool awaited)>;

  // Never blocks. Errors: UNREACHABLE (UNAVAILABLE: names the path and what to do).
  static absl::StatusOr<std::unique_ptr<FdChannel>> Dial(const std::string& socket_path);

  // The first exchange. Errors: as weftd sends them; UNREACHABLE; INTERNAL.
  absl::StatusOr<v1::Welcome> Greet(const v1::Hello& hello, Deadline deadline);

  // Reads until the connection ends, by either side, or by a message that cannot be
  // right; then every caller waiting, and every later one, gets the error that this
  // returns. Blocks.
  absl::Status Run(Observer observer);

  // Sends `request`, whose sequence is set here, and waits for the reply, for a free place
  // first if kMaxUnanswered are on their way. Errors: as weftd sends them; UNREACHABLE
  // (UNAVAILABLE: the connection ended; DEADLINE_EXCEEDED); QUOTA (RESOURCE_EXHAUSTED: the
  // reply's descriptors do not fit into this process; the observer had it as not awaited).
  absl::StatusOr<Reply> Call(v1::ClientMessage request, Deadline deadline);

  // Ends the connection.
  void Shutdown();

 private:
  // A caller of Call. Owned by it; in waiters_ until claimed.
  struct Waiter {
    bool claimed = false;  // Its reply has come: the caller must wait for `done`.
    bool done = false;
    absl::Status status;
    Reply reply;
  };

  explicit FdChannel(UniqueFd socket) : socket_(std::move(socket)) {}

  absl::Status Read(Observer observer);
  absl::Status Dispatch(v1::ServerMessage message, std::vector<UniqueFd> fds, bool fds_lost,
                        Observer observer);
  // Takes a place and a sequence for `waiter`.
  absl::StatusOr<uint64_t> Enter(Waiter& waiter, Deadline deadline);
  absl::Status AwaitReply(uint64_t sequence, Waiter& waiter, Deadline deadline);
  bool MayEnter() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return !end_.ok() || waiters_.size() < kMaxUnanswered;
  }

  const UniqueFd socket_;
  absl::Mutex mu_;
  // By sequence, the requests that weftd has not answered; nullptr: the caller gave up.
  std::map<uint64_t, Waiter*> waiters_ ABSL_GUARDED_BY(mu_);
  uint64_t last_sequence_ ABSL_GUARDED_BY(mu_) = 0;
  // Why the connection ended. OK: it has not.
  absl::Status end_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_INTERNAL_FD_CHANNEL_H_
