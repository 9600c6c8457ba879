// The coordinator's half of a host's session, whatever carries the messages.

#ifndef WEFT_SERVER_RPC_SESSION_CONVERSATION_H_
#define WEFT_SERVER_RPC_SESSION_CONVERSATION_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "proto/weft/v1/session.pb.h"
#include "server/rpc/calls.h"
#include "server/rpc/identity.h"

namespace weft {

class SessionRegistry;

// Turns a host's messages into commands, and what the registry says into messages. What
// carries them is a subclass's business.
class SessionConversation : public std::enable_shared_from_this<SessionConversation> {
 public:
  SessionConversation(const ServiceDeps& deps, SessionRegistry& registry, Peer peer)
      : deps_(deps), registry_(registry), peer_(std::move(peer)) {}
  virtual ~SessionConversation() = default;

  SessionConversation(const SessionConversation&) = delete;
  SessionConversation& operator=(const SessionConversation&) = delete;

  // Queues a message for the host. Any thread.
  virtual void Send(v1::CoordinatorMessage message) = 0;

  // Ends the conversation, in place of what is still queued. Only the first counts. Any
  // thread.
  virtual void End(const absl::Status& status) = 0;

  // Both empty before registration; then never changed.
  const std::string& host() const { return host_; }
  const std::string& session_id() const { return session_id_; }

 protected:
  // A message has come. OnAnswered follows once, perhaps from within. REQUIRES: OnAnswered
  // has followed the first one before the second is taken.
  void Take(v1::NodeMessage message);
  virtual void OnAnswered() = 0;
  // From now on several messages may be taken before they are answered.
  virtual void OnRegistered() = 0;

  SessionRegistry& registry() { return registry_; }

 private:
  struct Registration;

  void Register(v1::Register request);
  void Welcome(const Registration& registration);
  void Renew(uint64_t sequence);
  void Report(v1::NodeMessage message);
  // If something of the host could not be taken, and now could be: has it register again.
  void CatchUp();
  // Submits the command of a message; `then` is told how it ended.
  void Submit(Lane lane, std::string_view method, Command command,
              absl::AnyInvocable<void(const absl::Status&)> then);
  // Ends the conversation in answer to a message that becomes no command.
  void Refuse(const absl::Status& status);

  const ServiceDeps deps_;
  SessionRegistry& registry_;
  const Peer peer_;

  // Set on the executor, before the registry knows the conversation and before the next
  // message is taken.
  std::string host_;
  std::string session_id_;

  // Something that the host said was not taken: there was no room for it in the lane, or the store
  // takes no changes. That alone ends no session: the host says it again once it can be taken.
  std::atomic<bool> missed_ = false;
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_SESSION_CONVERSATION_H_
