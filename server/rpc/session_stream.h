// One SessionService.Connect call.

#ifndef WEFT_SERVER_RPC_SESSION_STREAM_H_
#define WEFT_SERVER_RPC_SESSION_STREAM_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"
#include "proto/weft/v1/session.pb.h"
#include "server/rpc/session_conversation.h"

namespace weft {

// Carries the conversation. Reads no further while many of its commands wait, and ends when
// the host does not read. Thread-safe.
class SessionStream final : public grpc::ServerBidiReactor<v1::NodeMessage, v1::CoordinatorMessage>,
                            public SessionConversation {
 public:
  // Lives until gRPC is done with the call.
  static SessionStream* Start(const ServiceDeps& deps, SessionRegistry& registry, Peer peer);

  // One message too many ends the stream with OVERLOADED: the host registers again and is
  // told everything anew.
  void Send(v1::CoordinatorMessage message) override ABSL_LOCKS_EXCLUDED(mu_);
  void End(const absl::Status& status) override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using SessionConversation::SessionConversation;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void OnRegistered() override ABSL_LOCKS_EXCLUDED(mu_);
  void OnAnswered() override ABSL_LOCKS_EXCLUDED(mu_);

  // Starts what can be started on the call. Of several threads that come here one does the
  // work: gRPC must see operations one by one, the last of all Finish.
  void Pump() ABSL_LOCKS_EXCLUDED(mu_);
  absl::AnyInvocable<void()> NextOperation() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  std::shared_ptr<SessionConversation> self_;

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
