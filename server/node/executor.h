// Where the daemon's work is done: one task after another.

#ifndef WEFT_SERVER_NODE_EXECUTOR_H_
#define WEFT_SERVER_NODE_EXECUTOR_H_

#include "absl/functional/any_invocable.h"
#include "server/platform/clock.h"

namespace weft {

// Runs tasks one at a time, in the order of their times; tasks of one time in the order in
// which they came. So none is late for what is posted after it was due: a flood of tasks holds
// up no timer. Thread-safe: any thread may post.
class Executor {
 public:
  using Task = absl::AnyInvocable<void()>;

  virtual ~Executor() = default;

  // Runs `task` as of now. Never runs it before returning.
  virtual void Post(Task task) = 0;
  // Runs `task` at `when` or soon after. There is no taking it back: a task looks whether
  // it is still wanted.
  virtual void PostAt(BootTime when, Task task) = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_EXECUTOR_H_
