// An Executor that its test turns by hand.

#ifndef WEFT_SERVER_NODE_MANUAL_EXECUTOR_H_
#define WEFT_SERVER_NODE_MANUAL_EXECUTOR_H_

#include <cstdint>
#include <map>
#include <utility>

#include "server/node/executor.h"
#include "server/platform/fake_clock.h"

namespace weft {

// Not thread-safe: for tests of one thread.
class ManualExecutor final : public Executor {
 public:
  explicit ManualExecutor(FakeClock& clock) : clock_(clock) {}

  void Post(Task task) override { PostAt(clock_.BootNow(), std::move(task)); }
  void PostAt(BootTime when, Task task) override {
    tasks_.emplace(std::make_pair(when, ++posted_), std::move(task));
  }

  // Runs what is due, and what follows from it.
  void Run() {
    while (!tasks_.empty() && tasks_.begin()->first.first <= clock_.BootNow()) {
      Task task = std::move(tasks_.begin()->second);
      tasks_.erase(tasks_.begin());
      task();
    }
  }

  // Lets time pass, and runs each task at its time.
  void Advance(absl::Duration duration) {
    const BootTime end = clock_.BootNow() + duration;
    Run();
    while (!tasks_.empty() && tasks_.begin()->first.first <= end) {
      clock_.Advance(tasks_.begin()->first.first - clock_.BootNow());
      Run();
    }
    clock_.Advance(end - clock_.BootNow());
  }

 private:
  FakeClock& clock_;
  std::map<std::pair<BootTime, uint64_t>, Task> tasks_;
  uint64_t posted_ = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_MANUAL_EXECUTOR_H_
