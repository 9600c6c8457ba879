// Which stream belongs to which live session.

#ifndef WEFT_SERVER_RPC_SESSION_REGISTRY_H_
#define WEFT_SERVER_RPC_SESSION_REGISTRY_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/core/changes.h"
#include "server/core/state.h"
#include "server/rpc/host_inquiries.h"

namespace weft {

class SessionConversation;

// Hands each host's stream what it should have and do. Thread-safe.
class SessionRegistry {
 public:
  // Makes `stream`, which has registered and queued the whole assignments, the stream of
  // its host. The one before ends with SESSION_EXPIRED. To be called on the executor,
  // before the changes that follow its registration are delivered.
  void Attach(std::shared_ptr<SessionConversation> stream) ABSL_LOCKS_EXCLUDED(mu_);

  // Forgets `stream`, if it is still its host's.
  void Detach(const SessionConversation& stream) ABSL_LOCKS_EXCLUDED(mu_);

  // Sends durable changes of assignments to their hosts, and ends the streams of sessions
  // that are over.
  void Deliver(const State& state, const Changes& changes, uint64_t revision)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Tells each host anew of all that it should have and do.
  void Resend(const State& state) ABSL_LOCKS_EXCLUDED(mu_);

  // Ends every stream with `why`, UNAVAILABLE: its host registers again, which brings in what
  // the coordinator may have forgotten and gives the host all its assignments.
  void EndAll(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mu_);

  // Counts registrations that wait for the executor. False: `host` has kMaxRegistering of them,
  // and none was counted: whatever it does, it leaves room in the lane for others.
  static constexpr int kMaxRegistering = 4;
  bool StartRegistering(const std::string& host) ABSL_LOCKS_EXCLUDED(mu_);
  void EndRegistering(const std::string& host) ABSL_LOCKS_EXCLUDED(mu_);

  // Asks the host: see HostInquiries::Ask. Without a stream UNAVAILABLE UNREACHABLE.
  uint64_t Ask(const std::string& host, v1::InventoryRequest request, HostInquiries::Answer answer)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Tells the host, if it has a stream: see Resync in session.proto. One that has none registers
  // anyway.
  void Resync(const std::string& host) ABSL_LOCKS_EXCLUDED(mu_);
  HostInquiries& inquiries() { return inquiries_; }

 private:
  std::shared_ptr<SessionConversation> Find(const std::string& host) const ABSL_LOCKS_EXCLUDED(mu_);
  std::vector<std::shared_ptr<SessionConversation>> All() const ABSL_LOCKS_EXCLUDED(mu_);

  HostInquiries inquiries_;
  mutable absl::Mutex mu_;
  std::map<std::string, std::shared_ptr<SessionConversation>> by_host_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, int> registering_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_SESSION_REGISTRY_H_
