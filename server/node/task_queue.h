// An Executor on one thread, which its owner provides.

#ifndef WEFT_SERVER_NODE_TASK_QUEUE_H_
#define WEFT_SERVER_NODE_TASK_QUEUE_H_

#include <cstdint>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/node/executor.h"

namespace weft {

class TaskQueue final : public Executor {
 public:
  explicit TaskQueue(Clock& clock) : clock_(clock) {}

  // Runs tasks until Stop. For a thread of its own.
  void Run();
  // Makes Run return after the task under way; later tasks never run. Idempotent.
  void Stop();

  void Post(Task task) override { PostAt(clock_.BootNow(), std::move(task)); }
  void PostAt(BootTime when, Task task) override;

 private:
  // The next task that is due; waits for one. Null once stopped.
  Task Next() ABSL_LOCKS_EXCLUDED(mu_);

  Clock& clock_;
  absl::Mutex mu_;
  std::map<std::pair<BootTime, uint64_t>, Task> tasks_ ABSL_GUARDED_BY(mu_);
  uint64_t posted_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  // Set by whatever may make Next answer otherwise.
  bool changed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_TASK_QUEUE_H_
