#include "server/platform/linux/clock.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace weft {
namespace {

const auto kNever = absl::Condition(+[](bool* b) { return *b; }, new bool(false));

TEST(LinuxClock, BootTimeRunsAheadOfMonotonicTime) {
  LinuxClock clock;
  const absl::Duration monotonic = clock.MonotonicNow().since_start();
  EXPECT_GE(clock.BootNow().since_start(), monotonic);
  EXPECT_GT(clock.UnixNow(), absl::FromUnixSeconds(1600000000));
}

TEST(LinuxClock, WaitEndsAfterTheDeadline) {
  LinuxClock clock;
  absl::Mutex mu;
  absl::MutexLock lock(&mu);
  const BootTime deadline = clock.BootNow() + absl::Milliseconds(20);
  EXPECT_FALSE(clock.WaitUntil(mu, kNever, deadline));
  EXPECT_GE(clock.BootNow(), deadline);
}

TEST(LinuxClock, WaitEndsWhenTheConditionHolds) {
  LinuxClock clock;
  absl::Mutex mu;
  bool ready = false;
  std::thread setter([&] {
    absl::MutexLock lock(&mu);
    ready = true;
  });
  {
    absl::MutexLock lock(&mu);
    EXPECT_TRUE(clock.WaitUntil(mu, absl::Condition(&ready), clock.BootNow() + absl::Hours(1)));
    EXPECT_TRUE(clock.WaitUntil(mu, absl::Condition(&ready), BootTime::InfiniteFuture()));
  }
  setter.join();
}

TEST(LinuxClock, DeadlineInThePastDoesNotWait) {
  LinuxClock clock;
  absl::Mutex mu;
  absl::MutexLock lock(&mu);
  EXPECT_FALSE(clock.WaitUntil(mu, kNever, BootTime()));
}

// Many waits on a mutex that is nearly always held: none is missed.
TEST(LinuxClock, ContendedWaitsAllEnd) {
  LinuxClock clock;
  absl::Mutex mu;
  std::vector<std::thread> waiters;
  for (int i = 0; i < 8; ++i) {
    waiters.emplace_back([&, i] {
      for (int round = 0; round < 50; ++round) {
        absl::MutexLock lock(&mu);
        const BootTime deadline = clock.BootNow() + absl::Microseconds(100 * ((i + round) % 5));
        EXPECT_FALSE(clock.WaitUntil(mu, kNever, deadline));
        EXPECT_GE(clock.BootNow(), deadline);
      }
    });
  }
  for (std::thread& waiter : waiters) waiter.join();
}

// A wait with a nearer deadline does not make the clock forget the farther one.
TEST(LinuxClock, NearAndFarDeadlinesBothEnd) {
  LinuxClock clock;
  absl::Mutex far_mu, near_mu;
  std::thread far([&] {
    absl::MutexLock lock(&far_mu);
    EXPECT_FALSE(clock.WaitUntil(far_mu, kNever, clock.BootNow() + absl::Milliseconds(30)));
  });
  {
    absl::MutexLock lock(&near_mu);
    EXPECT_FALSE(clock.WaitUntil(near_mu, kNever, clock.BootNow() + absl::Milliseconds(5)));
  }
  far.join();
}

}  // namespace
}  // namespace weft
