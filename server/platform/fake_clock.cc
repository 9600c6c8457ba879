#include "server/platform/fake_clock.h"

#include <sched.h>

namespace weft {

FakeClock::FakeClock()
    : boot_(absl::Hours(1)), monotonic_(absl::Hours(1)), unix_(absl::FromUnixSeconds(1000000000)) {}

BootTime FakeClock::BootNow() const {
  absl::MutexLock lock(&mu_);
  return boot_;
}

MonotonicTime FakeClock::MonotonicNow() const {
  absl::MutexLock lock(&mu_);
  return monotonic_;
}

absl::Time FakeClock::UnixNow() const {
  absl::MutexLock lock(&mu_);
  return unix_;
}

bool FakeClock::WaitUntil(absl::Mutex& mu, const absl::Condition& condition, BootTime deadline) {
  return waits_.Wait(mu, condition, deadline, [&] { return BootNow() >= deadline; });
}

void FakeClock::Advance(absl::Duration d) { Move(d, d); }

void FakeClock::Suspend(absl::Duration d) { Move(d, absl::ZeroDuration()); }

void FakeClock::SetUnix(absl::Time t) {
  absl::MutexLock lock(&mu_);
  unix_ = t;
}

void FakeClock::Move(absl::Duration boot, absl::Duration monotonic) {
  BootTime now;
  {
    absl::MutexLock lock(&mu_);
    boot_ = boot_ + boot;
    monotonic_ = monotonic_ + monotonic;
    unix_ += boot;
    now = boot_;
  }
  while (!waits_.WakeExpired(now)) sched_yield();
}

}  // namespace weft
