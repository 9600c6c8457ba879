#include "server/platform/fake_clock.h"

#include <atomic>
#include <thread>

#include "gtest/gtest.h"

namespace weft {
namespace {

const auto kNever = absl::Condition(+[](bool* b) { return *b; }, new bool(false));

TEST(FakeClock, MovesOnlyByHand) {
  FakeClock clock;
  const BootTime boot = clock.BootNow();
  const MonotonicTime monotonic = clock.MonotonicNow();
  EXPECT_EQ(clock.BootNow(), boot);
  clock.Advance(absl::Seconds(3));
  EXPECT_EQ(clock.BootNow() - boot, absl::Seconds(3));
  EXPECT_EQ(clock.MonotonicNow() - monotonic, absl::Seconds(3));
}

TEST(FakeClock, SuspendLeavesMonotonicTimeBehind) {
  FakeClock clock;
  const BootTime boot = clock.BootNow();
  const MonotonicTime monotonic = clock.MonotonicNow();
  clock.Suspend(absl::Hours(2));
  EXPECT_EQ(clock.BootNow() - boot, absl::Hours(2));
  EXPECT_EQ(clock.MonotonicNow(), monotonic);
}

TEST(FakeClock, WallClockJumpEndsNoWait) {
  FakeClock clock;
  const BootTime boot = clock.BootNow();
  clock.SetUnix(absl::FromUnixSeconds(42));
  EXPECT_EQ(clock.UnixNow(), absl::FromUnixSeconds(42));
  EXPECT_EQ(clock.BootNow(), boot);
}

TEST(FakeClock, WaitEndsAtTheDeadlineAndNotBefore) {
  FakeClock clock;
  absl::Mutex mu;
  std::atomic<bool> over{false};
  std::thread waiter([&] {
    absl::MutexLock lock(&mu);
    EXPECT_FALSE(clock.WaitUntil(mu, kNever, clock.BootNow() + absl::Seconds(10)));
    over = true;
  });
  clock.AwaitWaiters(1);
  EXPECT_EQ(clock.NextDeadline() - clock.BootNow(), absl::Seconds(10));
  clock.Advance(absl::Seconds(9));
  clock.AwaitWaiters(1);
  EXPECT_FALSE(over);
  clock.Advance(absl::Seconds(1));
  waiter.join();
  EXPECT_TRUE(over);
  EXPECT_EQ(clock.NextDeadline(), BootTime::InfiniteFuture());
}

TEST(FakeClock, WaitEndsWhenTheConditionHolds) {
  FakeClock clock;
  absl::Mutex mu;
  bool ready = false;
  std::thread waiter([&] {
    absl::MutexLock lock(&mu);
    EXPECT_TRUE(clock.WaitUntil(mu, absl::Condition(&ready), BootTime::InfiniteFuture()));
  });
  clock.AwaitWaiters(1);
  {
    absl::MutexLock lock(&mu);
    ready = true;
  }
  waiter.join();
}

TEST(FakeClock, DeadlineInThePastLooksAtTheConditionOnce) {
  FakeClock clock;
  absl::Mutex mu;
  bool ready = true;
  absl::MutexLock lock(&mu);
  EXPECT_FALSE(clock.WaitUntil(mu, kNever, clock.BootNow()));
  EXPECT_TRUE(clock.WaitUntil(mu, absl::Condition(&ready), BootTime::InfinitePast()));
}

TEST(FakeClock, EveryWaiterOfEveryMutexWakes) {
  FakeClock clock;
  absl::Mutex mu[3];
  std::vector<std::thread> waiters;
  for (int i = 0; i < 12; ++i) {
    waiters.emplace_back([&, i] {
      absl::MutexLock lock(&mu[i % 3]);
      EXPECT_FALSE(
          clock.WaitUntil(mu[i % 3], kNever, BootTime(absl::Hours(1) + absl::Seconds(i + 1))));
    });
  }
  clock.AwaitWaiters(12);
  clock.Advance(absl::Seconds(12));
  for (std::thread& waiter : waiters) waiter.join();
}

}  // namespace
}  // namespace weft
