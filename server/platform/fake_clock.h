// A clock that only its test moves.

#ifndef WEFT_SERVER_PLATFORM_FAKE_CLOCK_H_
#define WEFT_SERVER_PLATFORM_FAKE_CLOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/platform/clock.h"
#include "server/platform/wait_list.h"

namespace weft {

class FakeClock final : public Clock {
 public:
  // Boot and monotonic time begin at one hour, the wall clock in the year 2001.
  FakeClock();

  BootTime BootNow() const override;
  MonotonicTime MonotonicNow() const override;
  absl::Time UnixNow() const override;
  bool WaitUntil(absl::Mutex& mu, const absl::Condition& condition, BootTime deadline) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // Moves all three clocks, and ends the waits whose deadline is reached. Waits for the
  // mutex of each, so the caller must hold none of them.
  void Advance(absl::Duration d);
  // Moves boot time and the wall clock, as while the host is suspended.
  void Suspend(absl::Duration d);
  // Makes the wall clock jump.
  void SetUnix(absl::Time t);

  // Blocks until `count` threads are in WaitUntil with a deadline still to come.
  void AwaitWaiters(size_t count) const { waits_.AwaitWaiters(count); }
  // The next moment at which a wait ends by itself; InfiniteFuture without any.
  BootTime NextDeadline() const { return waits_.Earliest(); }

 private:
  void Move(absl::Duration boot, absl::Duration monotonic);

  mutable absl::Mutex mu_;
  BootTime boot_ ABSL_GUARDED_BY(mu_);
  MonotonicTime monotonic_ ABSL_GUARDED_BY(mu_);
  absl::Time unix_ ABSL_GUARDED_BY(mu_);
  WaitList waits_;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_FAKE_CLOCK_H_
