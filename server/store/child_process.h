// Another process, for tests that need one to die or to stand in the way.

#ifndef WEFT_SERVER_STORE_CHILD_PROCESS_H_
#define WEFT_SERVER_STORE_CHILD_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weft {

// Started by the constructor, killed at the latest by the destructor.
class ChildProcess {
 public:
  // REQUIRES: arguments[0] is the program's path.
  explicit ChildProcess(const std::vector<std::string>& arguments);
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess();

  pid_t pid() const { return pid_; }

  // The next number that the child wrote to its standard output; nothing once it has
  // ended and everything was read. Blocks.
  std::optional<uint64_t> ReadNumber();

  // As kill -9, and waits until it is gone. What it had written can still be read.
  void Kill();

 private:
  pid_t pid_ = -1;
  int output_ = -1;
};

}  // namespace weft

#endif  // WEFT_SERVER_STORE_CHILD_PROCESS_H_
