// What the threads of the load tell the one that drives it.

#ifndef WEFT_TESTS_SOAK_KILL_PROGRESS_H_
#define WEFT_TESTS_SOAK_KILL_PROGRESS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/soak/kill/checker.h"

namespace weft::soak {

// By operation, or by reason.
using Counts = std::map<std::string, uint64_t>;

// Thread-safe.
class Progress {
 public:
  // Weft said that the operation is done.
  void Acknowledge(const std::string& operation);
  // Weft said that it cannot be done now (a full pool, say), and why.
  void Refuse(const std::string& reason);
  // From now on any operation may be refused for this reason; empty: for none but its own.
  void Tolerate(const std::string& reason);
  bool Tolerates(const std::string& reason) const;
  void Violate(const std::string& what);
  // A new segment's id: none is ever given twice.
  void NoteId(uint64_t segment_id, const std::string& name);

  void BeginWorkers(int count);
  void EndWorker();
  // Returns once `acknowledged` operations are acknowledged, or no worker runs.
  void AwaitAcknowledged(uint64_t acknowledged);
  // Returns once there were `enough` operations, or no worker runs.
  void AwaitOperations(absl::FunctionRef<bool(const Counts& acknowledged)> enough);
  // Returns once no worker runs; false: some still do after `timeout`.
  bool AwaitWorkers(absl::Duration timeout);

  uint64_t acknowledged() const;
  Counts acknowledged_by_operation() const;
  Counts refused_by_reason() const;
  Violations violations() const;
  bool violated() const;

 private:
  bool Idle() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return workers_ == 0; }

  mutable absl::Mutex mu_;
  uint64_t acknowledged_ ABSL_GUARDED_BY(mu_) = 0;
  int workers_ ABSL_GUARDED_BY(mu_) = 0;
  Counts by_operation_ ABSL_GUARDED_BY(mu_);
  Counts by_reason_ ABSL_GUARDED_BY(mu_);
  std::string tolerated_ ABSL_GUARDED_BY(mu_);
  std::set<uint64_t> segment_ids_ ABSL_GUARDED_BY(mu_);
  Violations violations_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft::soak

#endif  // WEFT_TESTS_SOAK_KILL_PROGRESS_H_
