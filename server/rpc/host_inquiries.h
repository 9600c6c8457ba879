// What the coordinator asks of hosts, and their answers.

#ifndef WEFT_SERVER_RPC_HOST_INQUIRIES_H_
#define WEFT_SERVER_RPC_HOST_INQUIRIES_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "proto/weft/v1/session.pb.h"

namespace weft {

class SessionConversation;

// Thread-safe. A host is asked at most kMaxOfHost things at a time; an answer that nobody waits
// for any more is passed over.
class HostInquiries {
 public:
  static constexpr int kMaxOfHost = 4;

  // Called once, on any thread, unless Abandon takes it back.
  using Answer = absl::AnyInvocable<void(absl::StatusOr<v1::HostInventory>)>;

  // Asks the host of `stream`; `request` gets a number. Returns it; 0: `answer` has been called.
  //   RESOURCE_EXHAUSTED OVERLOADED: it has kMaxOfHost to answer.
  uint64_t Ask(const std::shared_ptr<SessionConversation>& stream, v1::InventoryRequest request,
               Answer answer) ABSL_LOCKS_EXCLUDED(mu_);
  // Whether it was still waited for: then its answer is never called.
  bool Abandon(uint64_t number) ABSL_LOCKS_EXCLUDED(mu_);

  void Take(const SessionConversation& stream, v1::HostInventory inventory)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The stream is over: UNAVAILABLE UNREACHABLE to whoever waits for it.
  void End(const SessionConversation& stream) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Inquiry {
    const SessionConversation* stream = nullptr;
    std::string host;
    Answer answer;
  };

  absl::Mutex mu_;
  uint64_t last_number_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<uint64_t, Inquiry> inquiries_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_HOST_INQUIRIES_H_
