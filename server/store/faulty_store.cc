#include "server/store/faulty_store.h"

#include "server/core/errors.h"

namespace weft {

absl::StatusOr<CommitResult> FaultyStore::Commit(const Transaction& transaction) {
  if (must_recover_) return RecoveryNeeded();
  const CommitFault fault = std::exchange(next_fault_, CommitFault::kNone);
  switch (fault) {
    case CommitFault::kNone:
      break;
    case CommitFault::kFull:
      return MakeError(absl::StatusCode::kResourceExhausted, v1::STORE_FULL, "injected: full");
    case CommitFault::kUnknownLost:
      must_recover_ = true;
      return UnknownOutcome(absl::UnavailableError("injected: lost"));
    case CommitFault::kUnknownCommitted: {
      const absl::Status status = store_->Commit(transaction).status();
      if (!status.ok()) return status;
      must_recover_ = true;
      return UnknownOutcome(absl::UnavailableError("injected: committed"));
    }
  }
  return store_->Commit(transaction);
}

absl::StatusOr<int64_t> FaultyStore::Scan(std::string_view prefix, Visitor visit) {
  if (must_recover_) return RecoveryNeeded();
  return store_->Scan(prefix, visit);
}

absl::Status FaultyStore::Recover() {
  const absl::Status status = store_->Recover();
  if (status.ok()) must_recover_ = false;
  return status;
}

}  // namespace weft
