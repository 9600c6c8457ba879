// Other programs, run to their end.

#ifndef WEFT_SERVER_PLATFORM_PROGRAM_H_
#define WEFT_SERVER_PLATFORM_PROGRAM_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace weft {

struct ProgramSpec {
  // The path of the executable, then its arguments.
  std::vector<std::string> arguments;
  // All that it reads from its standard input. At most kMaxProgramInput.
  std::string input;
  absl::Duration timeout;
};

inline constexpr size_t kMaxProgramInput = 32 << 10;

struct ProgramEnd {
  // The exit status, or 128 and the signal that ended it.
  int status = 0;
  // The last 4 KiB of its standard output and error.
  std::string output;
};

// A program that was started. Whatever ends it early also ends the processes that it
// started, as far as they stayed in its process group.
class Program {
 public:
  virtual ~Program() = default;

  // Waits for its end. To be called once.
  //   DEADLINE_EXCEEDED: it was killed after its time-out; CANCELLED: by Kill. Both tell
  //   what it had printed.
  virtual absl::StatusOr<ProgramEnd> Wait() = 0;

  // Makes Wait return soon. Any thread, any number of times.
  virtual void Kill() = 0;
};

class ProgramRunner {
 public:
  virtual ~ProgramRunner() = default;

  // Thread-safe. INVALID_ARGUMENT: too much input; errors of posix_spawn(3), with the
  // program's path.
  virtual absl::StatusOr<std::unique_ptr<Program>> Start(const ProgramSpec& spec) = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_PROGRAM_H_
