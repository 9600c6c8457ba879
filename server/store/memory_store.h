// A store in memory, for unit tests and simulation.

#ifndef WEFT_SERVER_STORE_MEMORY_STORE_H_
#define WEFT_SERVER_STORE_MEMORY_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/store/store.h"

namespace weft {

class MemoryStore;

// What a disk or an etcd cluster is to the other stores: outlives the stores opened on
// it, one after the other. Thread-safe.
class MemoryMedium {
 public:
  // Takes the medium from its present owner, as when another coordinator is elected.
  void Depose();

 private:
  friend class MemoryStore;

  absl::Mutex mutex_;
  const MemoryStore* owner_ ABSL_GUARDED_BY(mutex_) = nullptr;
  int64_t revision_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, KeyValue, std::less<>> records_ ABSL_GUARDED_BY(mutex_);
};

// See Store. A commit is "durable" once it is in the medium.
class MemoryStore final : public Store {
 public:
  // etcd's by default, so that what fits in simulation fits in production.
  static constexpr StoreLimits kLimits = {
      .max_compares = 127, .max_mutations = 128, .max_bytes = 1280 << 10};

  // FAILED_PRECONDITION STORE_IN_USE if `medium` has an owner.
  static absl::StatusOr<std::unique_ptr<MemoryStore>> Open(std::shared_ptr<MemoryMedium> medium);
  ~MemoryStore() override;

  absl::StatusOr<CommitResult> Commit(const Transaction& transaction) override;
  absl::StatusOr<int64_t> Scan(std::string_view prefix, Visitor visit) override;
  absl::Status ConfirmLeadership() override;
  absl::Status Recover() override;
  StoreLimits limits() const override { return kLimits; }

 private:
  explicit MemoryStore(std::shared_ptr<MemoryMedium> medium) : medium_(std::move(medium)) {}

  absl::Status CheckOwner() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(medium_->mutex_);

  const std::shared_ptr<MemoryMedium> medium_;
};

}  // namespace weft

#endif  // WEFT_SERVER_STORE_MEMORY_STORE_H_
