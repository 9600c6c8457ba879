// The tickets by which gRPC calls prove whose connection to the fd socket they belong to.

#ifndef WEFT_SERVER_NODE_TICKETS_H_
#define WEFT_SERVER_NODE_TICKETS_H_

#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/platform/random.h"

namespace weft {

// Who is at the other end of a connection, by the kernel's word.
struct LocalUser {
  uint32_t uid = 0;
  // `uid:<n>@<host>`.
  std::string principal;
};

// Thread-safe.
class Tickets {
 public:
  explicit Tickets(Random& random) : random_(random) {}

  // A new ticket, of 128 random bits as hexadecimal digits.
  std::string Issue(const LocalUser& user) {
    std::string ticket;
    for (const uint8_t byte : NewRandom128(random_)) {
      ticket += kDigits[byte >> 4];
      ticket += kDigits[byte & 15];
    }
    absl::MutexLock lock(&mu_);
    users_[ticket] = user;
    return ticket;
  }
  void Revoke(const std::string& ticket) {
    absl::MutexLock lock(&mu_);
    users_.erase(ticket);
  }
  // Nothing: no such ticket, or its connection is over.
  std::optional<LocalUser> Find(const std::string& ticket) const {
    absl::MutexLock lock(&mu_);
    const auto it = users_.find(ticket);
    if (it == users_.end()) return std::nullopt;
    return it->second;
  }

 private:
  static constexpr char kDigits[] = "0123456789abcdef";

  Random& random_;
  mutable absl::Mutex mu_;
  std::map<std::string, LocalUser> users_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_TICKETS_H_
