// Virtual time, and what happens in it.

#ifndef WEFT_TESTS_SIM_LOOP_H_
#define WEFT_TESTS_SIM_LOOP_H_

#include <cstdint>
#include <map>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace weft::sim {

// Runs tasks in the order of their times; those of one time in the order in which they
// came. Time stands still while a task runs. Not thread-safe.
class Loop {
 public:
  using Task = absl::AnyInvocable<void()>;

  // Since the beginning of the run.
  absl::Duration now() const { return now_; }
  uint64_t tasks_run() const { return run_; }
  // How many of them at this instant.
  uint64_t tasks_run_now() const { return run_now_; }

  void At(absl::Duration when, Task task) {
    tasks_.emplace(std::make_pair(when < now_ ? now_ : when, ++posted_), std::move(task));
  }
  void After(absl::Duration pause, Task task) { At(now_ + pause, std::move(task)); }

  // Runs the next task if it is due by `end`; false: time is `end` now.
  bool RunOne(absl::Duration end) {
    if (tasks_.empty() || tasks_.begin()->first.first > end) {
      now_ = end;
      return false;
    }
    if (now_ != tasks_.begin()->first.first) run_now_ = 0;
    now_ = tasks_.begin()->first.first;
    Task task = std::move(tasks_.begin()->second);
    tasks_.erase(tasks_.begin());
    ++run_;
    ++run_now_;
    task();
    return true;
  }

 private:
  absl::Duration now_;
  uint64_t posted_ = 0;
  uint64_t run_ = 0;
  uint64_t run_now_ = 0;
  std::map<std::pair<absl::Duration, uint64_t>, Task> tasks_;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_LOOP_H_
