// `weft fsck`, but for its command line.

#ifndef WEFT_CLIENT_CLI_FSCK_H_
#define WEFT_CLIENT_CLI_FSCK_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cli/context.h"

namespace weft::cli {

struct FsckOptions {
  bool repair = false;
  // Without asking.
  bool yes = false;
  // What is under way when it is first seen is over by then.
  absl::Duration between_passes = absl::Seconds(1);
  // Until repairs have had their effect: a host has to register, and its daemon to look at every
  // process.
  absl::Duration repair_time = absl::Seconds(15);
};

// Prints what differs, repairs it if that is asked for, and sets the exit status: see
// FsckExitCode. Nothing is done that was not printed.
//   BAD_ARGUMENT: it would have to ask, and cannot; without an exit status. Other errors: of
//   CheckAll, in any pass.
absl::Status Fsck(Context& context, const FsckOptions& options);

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_FSCK_H_
