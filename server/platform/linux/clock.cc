#include "server/platform/linux/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "server/core/check.h"

namespace weft {
namespace {

// How soon to try again to end a wait whose mutex was held.
constexpr absl::Duration kRetry = absl::Milliseconds(1);

absl::Duration Read(clockid_t clock) {
  timespec t;
  WEFT_CHECK(clock_gettime(clock, &t) == 0);
  return absl::DurationFromTimespec(t);
}

}  // namespace

LinuxClock::LinuxClock()
    : timer_fd_(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK)),
      stop_fd_(eventfd(0, EFD_CLOEXEC)) {
  WEFT_CHECK(timer_fd_.valid() && stop_fd_.valid());
  thread_ = std::thread([this] { RunTimer(); });
}

LinuxClock::~LinuxClock() {
  const uint64_t one = 1;
  WEFT_CHECK(write(stop_fd_.get(), &one, sizeof(one)) == sizeof(one));
  thread_.join();
}

BootTime LinuxClock::BootNow() const { return BootTime(Read(CLOCK_BOOTTIME)); }

MonotonicTime LinuxClock::MonotonicNow() const { return MonotonicTime(Read(CLOCK_MONOTONIC)); }

absl::Time LinuxClock::UnixNow() const { return absl::UnixEpoch() + Read(CLOCK_REALTIME); }

bool LinuxClock::WaitUntil(absl::Mutex& mu, const absl::Condition& condition, BootTime deadline) {
  return waits_.Wait(mu, condition, deadline, [&] {
    if (BootNow() >= deadline) return true;
    if (deadline != BootTime::InfiniteFuture()) Arm(deadline);
    return false;
  });
}

// Makes the timer ring at `at`, unless it rings earlier already.
void LinuxClock::Arm(BootTime at) {
  absl::MutexLock lock(&timer_mu_);
  if (at >= armed_) return;
  armed_ = at;
  itimerspec setting = {};
  // All zero would disarm.
  setting.it_value = absl::ToTimespec(std::max(at.since_start(), absl::Nanoseconds(1)));
  WEFT_CHECK(timerfd_settime(timer_fd_.get(), TFD_TIMER_ABSTIME, &setting, nullptr) == 0);
}

void LinuxClock::Rearm(BootTime now, bool woke_all) {
  const BootTime next = woke_all ? waits_.Earliest() : now + kRetry;
  if (next != BootTime::InfiniteFuture()) Arm(next);
}

void LinuxClock::RunTimer() {
  pollfd events[] = {{timer_fd_.get(), POLLIN, 0}, {stop_fd_.get(), POLLIN, 0}};
  while (true) {
    if (poll(events, 2, -1) < 0) {
      WEFT_CHECK(errno == EINTR);
      continue;
    }
    if (events[1].revents != 0) return;
    {
      absl::MutexLock lock(&timer_mu_);
      uint64_t rings;
      // Fails with EAGAIN if Arm moved the timer since poll returned.
      if (read(timer_fd_.get(), &rings, sizeof(rings)) < 0) WEFT_CHECK(errno == EAGAIN);
      armed_ = BootTime::InfiniteFuture();
    }
    const BootTime now = BootNow();
    Rearm(now, waits_.WakeExpired(now));
  }
}

}  // namespace weft
