// A store that fails on request, around another one, for unit tests and simulation.

#ifndef WEFT_SERVER_STORE_FAULTY_STORE_H_
#define WEFT_SERVER_STORE_FAULTY_STORE_H_

#include <memory>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/store/store.h"

namespace weft {

enum class CommitFault {
  kNone,
  // RESOURCE_EXHAUSTED STORE_FULL; nothing is changed.
  kFull,
  // UNAVAILABLE OUTCOME_UNKNOWN; the transaction is lost.
  kUnknownLost,
  // UNAVAILABLE OUTCOME_UNKNOWN; the transaction is committed.
  kUnknownCommitted,
};

// See Store. Behaves as the store inside, but for the faults.
class FaultyStore final : public Store {
 public:
  explicit FaultyStore(std::unique_ptr<Store> store) : store_(std::move(store)) {}

  // The next Commit, and no later one, meets `fault`.
  void FailNextCommit(CommitFault fault) { next_fault_ = fault; }

  absl::StatusOr<CommitResult> Commit(const Transaction& transaction) override;
  absl::StatusOr<int64_t> Scan(std::string_view prefix, Visitor visit) override;
  absl::Status ConfirmLeadership() override { return store_->ConfirmLeadership(); }
  absl::Status Recover() override;
  StoreLimits limits() const override { return store_->limits(); }

 private:
  const std::unique_ptr<Store> store_;
  CommitFault next_fault_ = CommitFault::kNone;
  bool must_recover_ = false;
};

}  // namespace weft

#endif  // WEFT_SERVER_STORE_FAULTY_STORE_H_
