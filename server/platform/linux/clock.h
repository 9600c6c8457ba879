// The clocks of the Linux kernel.

#ifndef WEFT_SERVER_PLATFORM_LINUX_CLOCK_H_
#define WEFT_SERVER_PLATFORM_LINUX_CLOCK_H_

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/platform/clock.h"
#include "server/platform/unique_fd.h"
#include "server/platform/wait_list.h"

namespace weft {

// Waits end through a timer on CLOCK_BOOTTIME, served by a thread of this object's:
// absl::Mutex's own timeouts follow the wall clock, and a jump of it must not make a
// renewal late. REQUIRES: nothing waits on it when it is destroyed.
class LinuxClock final : public Clock {
 public:
  LinuxClock();
  ~LinuxClock() override;

  BootTime BootNow() const override;
  MonotonicTime MonotonicNow() const override;
  absl::Time UnixNow() const override;
  bool WaitUntil(absl::Mutex& mu, const absl::Condition& condition, BootTime deadline) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

 private:
  void Arm(BootTime at) ABSL_LOCKS_EXCLUDED(timer_mu_);
  void Rearm(BootTime now, bool woke_all) ABSL_LOCKS_EXCLUDED(timer_mu_);
  void RunTimer();

  WaitList waits_;
  UniqueFd timer_fd_;
  UniqueFd stop_fd_;
  absl::Mutex timer_mu_;
  // What timer_fd_ is set to.
  BootTime armed_ ABSL_GUARDED_BY(timer_mu_) = BootTime::InfiniteFuture();
  std::thread thread_;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_CLOCK_H_
