// Touching memory that may answer with SIGBUS.

#ifndef WEFT_SERVER_PLATFORM_LINUX_BUS_GUARD_H_
#define WEFT_SERVER_PLATFORM_LINUX_BUS_GUARD_H_

#include <cstddef>
#include <optional>

#include "absl/functional/function_ref.h"

namespace weft {

// A SIGBUS that an access raised.
struct BusFault {
  // From the start of the guarded range.
  size_t offset;
  // The kernel says that the memory is bad; otherwise that nothing is there (a file that
  // got shorter, a full file system, a device that went away).
  bool hardware;
};

// Runs `body`. If that raises SIGBUS in [base, base + size) the rest of `body` is not
// done, and the fault is returned. `body` must do nothing but load and store: it is left
// without running destructors, so it must hold no lock and own nothing.
//
// Works in any thread. The first call installs a process-wide handler for SIGBUS; faults
// elsewhere go to what was installed before it. Advice about bad memory that nothing has
// touched (BUS_MCEERR_AO) is ignored, since its default is to kill the process.
std::optional<BusFault> RunGuarded(const void* base, size_t size, absl::FunctionRef<void()> body);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_BUS_GUARD_H_
