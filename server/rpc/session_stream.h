// One SessionService.Connect call.

#ifndef WEFT_SERVER_RPC_SESSION_STREAM_H_
#define WEFT_SERVER_RPC_SESSION_STREAM_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"
#include "proto/weft/v1/session.pb.h"
#include "server/rpc/calls.h"
#include "server/rpc/identity.h"

namespace weft {

class SessionRegistry;

// Turns a host's messages into commands, and what the registry says into messages. Reads
// no further while many of its commands wait, and ends when the host does not read.
// Thread-safe.
class SessionStream final : public grpc::ServerBidiReactor<v1::NodeMessage, v1::CoordinatorMessage>,
                            public std::enable_shared_from_this<SessionStream> {
 public:
  // Lives until gRPC is done with the call.
  static SessionStream* Start(const ServiceDeps& deps, SessionRegistry& registry, Peer peer);

  // Queues a message. One too many ends the stream with OVERLOADED: the host registers
  // again and is told everything anew.
  void Send(v1::CoordinatorMessage message) ABSL_LOCKS_EXCLUDED(mu_);

  // Ends the call, in place of what is still queued. Only the first counts.
  void End(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);

  // Both empty before registration; then never changed.
  const std::string& host() const { return host_; }
  const std::string& session_id() const { return session_id_; }

 private:
  SessionStream(const ServiceDeps& deps, SessionRegistry& registry, Peer peer);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void Take(v1::NodeMessage message);
  void Register(v1::Register request);
  void OnRegistered(const std::string& host, const v1::Registered& registered,
                    const v1::Assignments& whole);
  void Renew(uint64_t sequence);
  void Report(v1::NodeMessage message);
  // Submits a command whose failure ends the stream; `then` follows its success.
  void Submit(Lane lane, CommandKind kind, std::string_view method, Command::Run run,
              absl::AnyInvocable<void()> then);
  // Ends the stream in answer to a message that becomes no command.
  void Refuse(const absl::Status& status);
  void OnAnswered();

  // Starts what can be started on the call. Of several threads that come here one does the
  // work: gRPC must see operations one by one, the last of all Finish.
  void Pump() ABSL_LOCKS_EXCLUDED(mu_);
  absl::AnyInvocable<void()> NextOperation() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const ServiceDeps deps_;
  SessionRegistry& registry_;
  const Peer peer_;
  std::shared_ptr<SessionStream> self_;

  // Set on the executor, before the registry knows the stream and before the next read.
  std::string host_;
  std::string session_id_;

  // gRPC's while the operation is under way.
  v1::NodeMessage incoming_;
  v1::CoordinatorMessage outgoing_;

  absl::Mutex mu_;
  std::deque<v1::CoordinatorMessage> queue_ ABSL_GUARDED_BY(mu_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mu_);
  // Messages whose command has not been answered.
  size_t commands_ ABSL_GUARDED_BY(mu_) = 0;
  size_t max_commands_ ABSL_GUARDED_BY(mu_) = 1;
  bool reading_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  bool pumping_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_SESSION_STREAM_H_
