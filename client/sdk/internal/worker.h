// A thread for what must not run on the thread that reads weftd's messages: callbacks of
// the application, and calls that wait for weftd.

#ifndef WEFT_CLIENT_SDK_INTERNAL_WORKER_H_
#define WEFT_CLIENT_SDK_INTERNAL_WORKER_H_

#include <deque>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace weft::sdk {

// Thread-safe. Runs its tasks one after another, in the order in which they came. Its
// queue needs no bound of its own: every task is about one handle, at most three for each
// (taken back, stale, closed), and weftd bounds those.
class Worker {
 public:
  Worker() : thread_([this] { Run(); }) {}
  // Drops the tasks that have not begun, and waits for the one that has.
  // REQUIRES: not called by a task.
  ~Worker();

  void Post(std::function<void()> task);
  // Whether the caller is a task.
  bool IsCurrentThread() const { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  void Run();
  bool HasWork() const ABSL_SHARED_LOCKS_REQUIRED(mu_) { return stopping_ || !tasks_.empty(); }

  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace weft::sdk

#endif  // WEFT_CLIENT_SDK_INTERNAL_WORKER_H_
