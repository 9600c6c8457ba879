#include "tests/soak/kill/progress.h"

#include "absl/strings/str_cat.h"

namespace weft::soak {

void Progress::Acknowledge(const std::string& operation) {
  absl::MutexLock lock(&mu_);
  ++acknowledged_;
  ++by_operation_[operation];
}

void Progress::Refuse(const std::string& reason) {
  absl::MutexLock lock(&mu_);
  ++by_reason_[reason];
}

void Progress::Tolerate(const std::string& reason) {
  absl::MutexLock lock(&mu_);
  tolerated_ = reason;
}

bool Progress::Tolerates(const std::string& reason) const {
  absl::MutexLock lock(&mu_);
  return !reason.empty() && reason == tolerated_;
}

void Progress::Violate(const std::string& what) {
  absl::MutexLock lock(&mu_);
  violations_.push_back(what);
}

void Progress::NoteId(uint64_t segment_id, const std::string& name) {
  absl::MutexLock lock(&mu_);
  if (segment_ids_.insert(segment_id).second) return;
  violations_.push_back(absl::StrCat(name, " got id ", segment_id, ", which was used before"));
}

void Progress::BeginWorkers(int count) {
  absl::MutexLock lock(&mu_);
  workers_ = count;
}

void Progress::EndWorker() {
  absl::MutexLock lock(&mu_);
  --workers_;
}

void Progress::AwaitAcknowledged(uint64_t acknowledged) {
  absl::MutexLock lock(&mu_);
  const auto reached = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return acknowledged_ >= acknowledged || workers_ == 0;
  };
  mu_.Await(absl::Condition(&reached));
}

void Progress::AwaitOperations(absl::FunctionRef<bool(const Counts& acknowledged)> enough) {
  absl::MutexLock lock(&mu_);
  const auto reached = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return workers_ == 0 || enough(by_operation_);
  };
  mu_.Await(absl::Condition(&reached));
}

bool Progress::AwaitWorkers(absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithTimeout(absl::Condition(this, &Progress::Idle), timeout);
}

uint64_t Progress::acknowledged() const {
  absl::MutexLock lock(&mu_);
  return acknowledged_;
}

Counts Progress::acknowledged_by_operation() const {
  absl::MutexLock lock(&mu_);
  return by_operation_;
}

Counts Progress::refused_by_reason() const {
  absl::MutexLock lock(&mu_);
  return by_reason_;
}

Violations Progress::violations() const {
  absl::MutexLock lock(&mu_);
  return violations_;
}

bool Progress::violated() const {
  absl::MutexLock lock(&mu_);
  return !violations_.empty();
}

}  // namespace weft::soak
