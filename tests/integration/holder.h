// A program that has a segment open and mapped, and is told when it has to let go.

#ifndef WEFT_TESTS_INTEGRATION_HOLDER_H_
#define WEFT_TESTS_INTEGRATION_HOLDER_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "client/sdk/weft.h"
#include "tests/integration/harness.h"

namespace weft {

// Not thread-safe.
class Holder {
 public:
  // For writing. REQUIRES: it can be opened within a minute.
  Holder(const Cluster& cluster, const std::string& host, const std::string& segment);
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  sdk::Client& client() { return *client_; }
  // REQUIRES: it has not let go.
  const sdk::Handle& handle() const { return *handle_; }
  std::span<std::byte> bytes() const { return mapping_->bytes(); }

  // The oldest notice that was not returned yet, after at most a minute.
  absl::StatusOr<sdk::RevokeNotice> AwaitNotice();

  // Unmaps and closes it; returns when weftd, if there is one, has given it back. Idempotent.
  void LetGo();

 private:
  bool IsTold() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !notices_.empty(); }

  absl::Mutex mu_;
  std::deque<sdk::RevokeNotice> notices_ ABSL_GUARDED_BY(mu_);
  std::optional<sdk::Handle> handle_;
  std::optional<sdk::Mapping> mapping_;
  std::unique_ptr<sdk::Client> client_;
};

}  // namespace weft

#endif  // WEFT_TESTS_INTEGRATION_HOLDER_H_
