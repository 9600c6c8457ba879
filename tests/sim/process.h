// What can be killed and stopped: a process, a kernel, a machine.

#ifndef WEFT_TESTS_SIM_PROCESS_H_
#define WEFT_TESTS_SIM_PROCESS_H_

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "tests/sim/loop.h"

namespace weft::sim {

// Tasks that run as long as their process lives, and wait while it is stopped. Destroying
// it kills the process: nothing of it ever runs again.
class Process {
 public:
  explicit Process(Loop& loop) : loop_(loop), self_(std::make_shared<Process*>(this)) {}
  ~Process() { *self_ = nullptr; }

  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void At(absl::Duration when, Loop::Task task) {
    loop_.At(when, [self = self_, task = std::move(task)]() mutable {
      if (*self != nullptr) (*self)->Run(std::move(task));
    });
  }
  void After(absl::Duration pause, Loop::Task task) { At(loop_.now() + pause, std::move(task)); }

  bool stopped() const { return stopped_; }
  void Stop() { stopped_ = true; }
  // What became due meanwhile runs now, in its order.
  void Continue() {
    stopped_ = false;
    for (Loop::Task& task : std::exchange(waiting_, {})) At(loop_.now(), std::move(task));
  }

  Loop& loop() { return loop_; }
  // Says whether the process lives, to those who may outlive it.
  std::function<bool()> alive() const {
    return [self = self_] { return *self != nullptr; };
  }

 private:
  void Run(Loop::Task task) {
    if (stopped_) {
      waiting_.push_back(std::move(task));
    } else {
      task();
    }
  }

  Loop& loop_;
  // What posted tasks look at: null once the process is gone.
  std::shared_ptr<Process*> self_;
  bool stopped_ = false;
  std::vector<Loop::Task> waiting_;
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_PROCESS_H_
