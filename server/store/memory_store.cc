#include "server/store/memory_store.h"

#include <utility>
#include <vector>

#include "server/core/errors.h"

namespace weft {
namespace {

absl::Status InUse(const char* message) {
  return MakeError(absl::StatusCode::kFailedPrecondition, v1::STORE_IN_USE, message);
}

}  // namespace

void MemoryMedium::Depose() {
  absl::MutexLock lock(&mutex_);
  owner_ = nullptr;
}

absl::StatusOr<std::unique_ptr<MemoryStore>> MemoryStore::Open(
    std::shared_ptr<MemoryMedium> medium) {
  std::unique_ptr<MemoryStore> store;
  absl::MutexLock lock(&medium->mutex_);
  if (medium->owner_ != nullptr) return InUse("the medium has an owner");
  store.reset(new MemoryStore(medium));
  medium->owner_ = store.get();
  return store;
}

MemoryStore::~MemoryStore() {
  absl::MutexLock lock(&medium_->mutex_);
  if (medium_->owner_ == this) medium_->owner_ = nullptr;
}

absl::StatusOr<CommitResult> MemoryStore::Commit(const Transaction& transaction) {
  if (absl::Status status = CheckTransaction(transaction, kLimits); !status.ok()) return status;
  absl::MutexLock lock(&medium_->mutex_);
  if (absl::Status status = CheckOwner(); !status.ok()) return status;
  for (const Compare& compare : transaction.compares) {
    const auto found = medium_->records_.find(compare.key);
    const int64_t actual = found == medium_->records_.end() ? 0 : found->second.revision;
    if (actual != compare.revision) return CompareFailed(compare, actual);
  }
  if (!transaction.mutations.empty()) ++medium_->revision_;
  for (const Mutation& mutation : transaction.mutations) {
    if (mutation.value) {
      medium_->records_[mutation.key] = {mutation.key, *mutation.value, medium_->revision_};
    } else {
      medium_->records_.erase(mutation.key);
    }
  }
  return CommitResult{.revision = medium_->revision_};
}

absl::StatusOr<int64_t> MemoryStore::Scan(std::string_view prefix, Visitor visit) {
  std::vector<KeyValue> found;
  int64_t revision = 0;
  {
    absl::MutexLock lock(&medium_->mutex_);
    if (absl::Status status = CheckOwner(); !status.ok()) return status;
    revision = medium_->revision_;
    for (auto record = medium_->records_.lower_bound(prefix);
         record != medium_->records_.end() && record->first.starts_with(prefix); ++record) {
      found.push_back(record->second);
    }
  }
  for (const KeyValue& record : found) {
    if (absl::Status status = visit(record); !status.ok()) return status;
  }
  return revision;
}

absl::Status MemoryStore::ConfirmLeadership() {
  absl::MutexLock lock(&medium_->mutex_);
  return CheckOwner();
}

absl::Status MemoryStore::Recover() { return ConfirmLeadership(); }

absl::Status MemoryStore::CheckOwner() const {
  return medium_->owner_ == this ? absl::OkStatus() : InUse("the medium has another owner");
}

}  // namespace weft
