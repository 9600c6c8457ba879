#include "client/sdk/internal/deadline.h"

#include <algorithm>
#include <chrono>
#include <limits>

namespace weft::sdk {
namespace {

absl::Duration Now() {
  return absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace

Deadline Deadline::After(absl::Duration timeout) {
  return Deadline(Now() + std::max(timeout, absl::ZeroDuration()));
}

absl::Duration Deadline::left() const {
  if (when_ == absl::InfiniteDuration()) return when_;
  return std::max(when_ - Now(), absl::ZeroDuration());
}

int Deadline::left_ms() const {
  const absl::Duration left = this->left();
  if (left == absl::InfiniteDuration()) return -1;
  const int64_t ms = absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1)));
  return static_cast<int>(std::min<int64_t>(ms, std::numeric_limits<int>::max()));
}

bool AwaitUntil(absl::Mutex& mu, const absl::Condition& condition, Deadline deadline) {
  while (!mu.AwaitWithTimeout(condition, deadline.left())) {
    if (deadline.passed()) return false;
  }
  return true;
}

}  // namespace weft::sdk
