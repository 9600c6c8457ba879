// What the exit status of `weft` says; stable.

#ifndef WEFT_CLIENT_CLI_EXIT_CODES_H_
#define WEFT_CLIENT_CLI_EXIT_CODES_H_

#include "absl/status/status.h"

namespace weft::cli {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,       // The operation failed, or verify found a difference.
  kExitUsage = 2,        // The command line is wrong: options, names, sizes.
  kExitUnreachable = 3,  // Coordinator or weftd not reached, or no answer in time.
  kExitNotFound = 4,     // The object named is not there.
};

// Of `weft fsck`, added up, as fsck(8) does it. No sum of them is kExitUsage.
enum FsckExitCode : int {
  kFsckRepaired = 1,
  kFsckLeft = 4,
  kFsckNotChecked = 8,  // A host; or an error ended it: who knows what is left.
};

// For --help.
inline constexpr char kExitCodesHelp[] =
    "Exit status: 0 done; 1 failed, or verify found a difference; 2 wrong usage, name or size;\n"
    "3 coordinator or weftd not reached in time; 4 no such object. weft fsck has its own.";

inline ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:
      return kExitUsage;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return kExitUnreachable;
    case absl::StatusCode::kNotFound:
      return kExitNotFound;
    default:
      return kExitFailed;
  }
}

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_EXIT_CODES_H_
