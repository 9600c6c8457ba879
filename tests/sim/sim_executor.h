// A thread of a daemon, in simulated time.

#ifndef WEFT_TESTS_SIM_SIM_EXECUTOR_H_
#define WEFT_TESTS_SIM_SIM_EXECUTOR_H_

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "server/node/executor.h"
#include "tests/sim/process.h"
#include "tests/sim/rng.h"
#include "tests/sim/sim_clock.h"

namespace weft::sim {

// Each task occupies the thread for up to `longest`: others get in between. `after` is
// called after every task.
class SimExecutor final : public Executor {
 public:
  SimExecutor(Process& process, const SimClock& clock, Rng rng, absl::Duration longest,
              std::function<void()> after)
      : process_(process), clock_(clock), rng_(rng), longest_(longest), after_(std::move(after)) {}

  void Post(Task task) override { PostAt(clock_.BootNow(), std::move(task)); }
  void PostAt(BootTime when, Task task) override {
    tasks_.emplace(std::make_pair(when, ++posted_), std::move(task));
    Schedule();
  }

 private:
  void Schedule() {
    if (tasks_.empty() || tasks_.begin()->first.first == BootTime::InfiniteFuture()) return;
    const absl::Duration due = std::max(clock_.ToLoop(tasks_.begin()->first.first), busy_until_);
    if (due >= next_) return;
    next_ = due;
    process_.At(due, [this, due] {
      if (due == next_) RunOne();
    });
  }

  void RunOne() {
    next_ = absl::InfiniteDuration();
    if (!tasks_.empty() && tasks_.begin()->first.first <= clock_.BootNow()) {
      Task task = std::move(tasks_.begin()->second);
      tasks_.erase(tasks_.begin());
      busy_until_ = process_.loop().now() + rng_.Between(absl::ZeroDuration(), longest_);
      task();
      after_();
    }
    Schedule();
  }

  Process& process_;
  const SimClock& clock_;
  Rng rng_;
  const absl::Duration longest_;
  const std::function<void()> after_;
  std::map<std::pair<BootTime, uint64_t>, Task> tasks_;
  uint64_t posted_ = 0;
  absl::Duration busy_until_;
  absl::Duration next_ = absl::InfiniteDuration();
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_SIM_EXECUTOR_H_
