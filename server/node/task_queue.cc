#include "server/node/task_queue.h"

namespace weft {

void TaskQueue::Run() {
  while (Task task = Next()) task();
}

void TaskQueue::Stop() {
  absl::MutexLock lock(&mu_);
  stopped_ = true;
  changed_ = true;
}

void TaskQueue::PostAt(BootTime when, Task task) {
  absl::MutexLock lock(&mu_);
  if (stopped_) return;
  tasks_.emplace(std::make_pair(when, ++posted_), std::move(task));
  changed_ = true;
}

Executor::Task TaskQueue::Next() {
  absl::MutexLock lock(&mu_);
  while (!stopped_) {
    changed_ = false;
    const auto first = tasks_.begin();
    if (first != tasks_.end() && first->first.first <= clock_.BootNow()) {
      Task task = std::move(first->second);
      tasks_.erase(first);
      return task;
    }
    clock_.WaitUntil(mu_, absl::Condition(&changed_),
                     first == tasks_.end() ? BootTime::InfiniteFuture() : first->first.first);
  }
  return nullptr;
}

}  // namespace weft
