// Programs as Linux runs them.

#ifndef WEFT_SERVER_PLATFORM_LINUX_PROGRAM_H_
#define WEFT_SERVER_PLATFORM_LINUX_PROGRAM_H_

#include <memory>

#include "server/platform/program.h"

namespace weft {

// Each program has a process group of its own, an empty signal mask, and this process's
// environment.
class LinuxProgramRunner final : public ProgramRunner {
 public:
  absl::StatusOr<std::unique_ptr<Program>> Start(const ProgramSpec& spec) override;
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_PROGRAM_H_
