// The only place where the SDK reads a clock.

#ifndef WEFT_CLIENT_SDK_INTERNAL_DEADLINE_H_
#define WEFT_CLIENT_SDK_INTERNAL_DEADLINE_H_

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace weft::sdk {

// A moment on the monotonic clock by which something must be done.
class Deadline {
 public:
  static Deadline After(absl::Duration timeout);
  static Deadline Never() { return Deadline(absl::InfiniteDuration()); }

  // Zero once it has passed.
  absl::Duration left() const;
  bool passed() const { return left() == absl::ZeroDuration(); }
  // For poll(2): -1 for Never. Rounded up, so that a wait never ends too early.
  int left_ms() const;

 private:
  explicit Deadline(absl::Duration when) : when_(when) {}

  absl::Duration when_;  // Since the clock's start.
};

// Waits until `condition` holds or `deadline` passes; returns whether it holds.
// (Abseil's mutex waits on the wall clock: setting that back makes the wait longer.)
bool AwaitUntil(absl::Mutex& mu, const absl::Condition& condition, Deadline deadline)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_INTERNAL_DEADLINE_H_
