// A program in a process of its own, for tests that need one to die.

#ifndef WEFT_TESTS_INTEGRATION_PROCESS_H_
#define WEFT_TESTS_INTEGRATION_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/platform/unique_fd.h"

namespace weft {

// Not thread-safe. Started by the constructor, killed at the latest by the destructor, or
// when the thread that made it ends.
class Process {
 public:
  // What it prints goes to the end of `log_path`. REQUIRES: `arguments[0]` is the path of
  // an executable, absolute or from the working directory.
  Process(const std::vector<std::string>& arguments, const std::string& log_path);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() { Kill(); }

  // -1 once it is known to have ended.
  pid_t pid() const { return pid_; }

  // As kill -9; returns when it is gone. Idempotent.
  void Kill();
  // As a service manager: SIGTERM. Returns the exit status, or minus the signal that ended
  // it. REQUIRES: pid() is not -1.
  int Terminate();
  // Waits until it ends by itself; returns as Terminate. REQUIRES: pid() is not -1.
  int Wait();

  // Waits until the file `path` is there. Its folder must be.
  //   FAILED_PRECONDITION: the process ended first; DEADLINE_EXCEEDED.
  absl::Status AwaitFile(const std::string& path, absl::Duration timeout);

 private:
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

}  // namespace weft

#endif  // WEFT_TESTS_INTEGRATION_PROCESS_H_
