// The clocks of one machine.

#ifndef WEFT_TESTS_SIM_SIM_CLOCK_H_
#define WEFT_TESTS_SIM_SIM_CLOCK_H_

#include <cstdint>

#include "server/core/check.h"
#include "server/platform/clock.h"
#include "tests/sim/loop.h"

namespace weft::sim {

// Follows the loop's time, faster or slower by some ppm, from a start of its own. Not
// thread-safe.
class SimClock final : public Clock {
 public:
  // `boot`: what the clock shows now.
  SimClock(const Loop& loop, absl::Duration boot)
      : loop_(loop), base_boot_(boot), base_loop_(loop.now()) {}

  BootTime BootNow() const override { return BootTime(base_boot_ + Scaled()); }
  MonotonicTime MonotonicNow() const override { return MonotonicTime(BootNow().since_start()); }
  absl::Time UnixNow() const override {
    return absl::FromUnixSeconds(1'000'000'000) + loop_.now() + wall_offset_;
  }
  // A simulation has one thread, and it does not wait.
  bool WaitUntil([[maybe_unused]] absl::Mutex& mu, const absl::Condition&, BootTime) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    WEFT_CHECK(false, "a simulated process waits");
    return false;
  }

  // From now on the clock gains so much.
  void SetRate(int64_t ppm) {
    base_boot_ = BootNow().since_start();
    base_loop_ = loop_.now();
    ppm_ = ppm;
  }
  // Makes the wall clock jump.
  void StepWall(absl::Duration step) { wall_offset_ += step; }

  // About when, on the loop, the clock will show `when` if its rate stays: not before, and
  // at most a microsecond later.
  absl::Duration ToLoop(BootTime when) const {
    const absl::Duration left = when - BootNow();
    if (left <= absl::ZeroDuration()) return loop_.now();
    if (left == absl::InfiniteDuration()) return left;
    return loop_.now() + left * 1'000'000 / (1'000'000 + ppm_) + absl::Nanoseconds(100);
  }

 private:
  absl::Duration Scaled() const {
    const absl::Duration passed = loop_.now() - base_loop_;
    return passed + passed * ppm_ / 1'000'000;
  }

  const Loop& loop_;
  absl::Duration base_boot_;
  absl::Duration base_loop_;
  int64_t ppm_ = 0;
  absl::Duration wall_offset_;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_SIM_CLOCK_H_
