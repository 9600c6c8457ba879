// What the mains of weft-coordinator and weftd have in common as processes.

#ifndef WEFT_SERVER_PLATFORM_LINUX_DAEMON_H_
#define WEFT_SERVER_PLATFORM_LINUX_DAEMON_H_

#include <signal.h>
#include <spdlog/common.h>

#include <string>

#include "absl/status/status.h"

namespace weft {

// From here on `program` logs to standard error, from `level` on.
void StartLog(const std::string& program, spdlog::level::level_enum level);

// Blocks the signals that end a daemon (TERM, INT), for the calling thread and every one it
// will make, and returns them; wait for them with sigwait(3). SIGPIPE is ignored.
sigset_t BlockStopSignals();

// Lets this process have as many descriptors as it may raise its limit to.
void RaiseDescriptorLimit();

// Tells those who wait for it that this process serves, and how: the file appears complete or
// not at all, in the place of one that is there. Nothing happens if `path` is empty.
// FAILED_PRECONDITION if it cannot be written.
absl::Status WriteReadyFile(const std::string& path, const std::string& text);

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_LINUX_DAEMON_H_
