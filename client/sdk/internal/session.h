// A client's standing with weftd: a connection that is made again when it breaks, and the
// handles that live through that.

#ifndef WEFT_CLIENT_SDK_INTERNAL_SESSION_H_
#define WEFT_CLIENT_SDK_INTERNAL_SESSION_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/sdk/internal/deadline.h"
#include "client/sdk/internal/fd_channel.h"
#include "client/sdk/internal/handle_table.h"
#include "client/sdk/internal/retry.h"
#include "client/sdk/internal/worker.h"
#include "client/sdk/options.h"
#include "proto/weft/v1/node.pb.h"

namespace weft::sdk {

// Thread-safe. Has two threads: one makes the connection and reads from it; the other, a
// Worker, calls the application and closes handles.
class Session {
 public:
  // One connection, greeted. `number` tells it from those before.
  struct Connection {
    std::shared_ptr<FdChannel> channel;
    uint64_t number = 0;
    v1::Welcome welcome;
  };

  struct Opened {
    v1::OpenReply reply;
    std::vector<UniqueFd> fds;
  };

  // Connects. In a forked child the last reference does nothing: the parent's threads are
  // not there, its locks are in an unknown state, and its handles stay its own.
  static absl::StatusOr<std::shared_ptr<Session>> Start(const ClientOptions& options);

  // Repeats `attempt`, each time on the connection of the moment, as RetryPolicy says.
  // NO_IDENTITY (UNAUTHENTICATED) in a forked child.
  absl::Status Call(
      absl::FunctionRef<absl::Status(const Connection& connection, Deadline deadline)> attempt);
  bool IsCurrent(const Connection& connection) const;
  // NO_IDENTITY (UNAUTHENTICATED) in a forked child.
  absl::Status CheckProcess() const;

  // The handle is then in the table, until Close or CloseLater.
  absl::StatusOr<Opened> Open(const v1::OpenRequest& request);
  absl::StatusOr<FdChannel::Reply> Refresh(const v1::RefreshRequest& request);
  // Waits for weftd's word. OK if there is no connection: then nobody counts the handle.
  absl::Status Close(uint64_t handle_id);
  // Never waits.
  void CloseLater(uint64_t handle_id);
  void MarkStale(uint64_t handle_id, const std::string& detail);
  // As HandleTable; NO_IDENTITY (UNAUTHENTICATED) in a forked child.
  absl::Status CheckLive(uint64_t handle_id) const;
  HandleState StateOf(uint64_t handle_id) const { return handles_.StateOf(handle_id); }

  // After this no notice is given any more; waits for the one under way.
  // REQUIRES: not called by on_revoke or on_poison.
  void StopNotices();

 private:
  explicit Session(const ClientOptions& options);
  ~Session();

  absl::Status FirstConnect(absl::Duration timeout);
  // Dials, greets, makes the connection current.
  absl::Status Connect();
  void Publish(std::unique_ptr<Connection> connection, const v1::Hello& hello);
  // The reading thread.
  void Maintain();
  // Whether there is a connection again; false: the session is being destroyed.
  bool Reconnect(Backoff& backoff);
  absl::StatusOr<std::shared_ptr<const Connection>> AwaitConnection(Deadline deadline);
  std::shared_ptr<const Connection> current() const;

  void Observe(const v1::ServerMessage& message, bool awaited);
  // To the handle of this segment; nullopt: of none.
  void NotifyGone(uint64_t handle_id, const std::optional<std::string>& segment,
                  const std::string& detail);
  void Notify(RevokeNotice notice);
  void NotifyOfPoison(const v1::PoisonNotice& poison);
  // Has the worker give a notice.
  void PostNotice(std::function<void()> notice);
  absl::Status SendClose(const Connection& connection, uint64_t handle_id) const;
  void PostClose(uint64_t handle_id);

  bool ConnectedOrStopping() const ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return connection_ != nullptr || stopping_;
  }
  bool NotNotifying() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !notifying_; }

  const pid_t owner_;
  const ClientOptions options_;
  HandleTable handles_;

  mutable absl::Mutex mu_;
  // nullptr: not now.
  std::shared_ptr<const Connection> connection_ ABSL_GUARDED_BY(mu_);
  // Greeted at the moment; kept so that the destructor can end it.
  std::shared_ptr<FdChannel> greeting_ ABSL_GUARDED_BY(mu_);
  uint64_t connections_ ABSL_GUARDED_BY(mu_) = 0;
  // Why there is no connection.
  absl::Status last_error_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  bool notices_stopped_ ABSL_GUARDED_BY(mu_) = false;
  bool notifying_ ABSL_GUARDED_BY(mu_) = false;

  std::thread reader_;
  // Last: its tasks use everything above.
  Worker worker_;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_INTERNAL_SESSION_H_
