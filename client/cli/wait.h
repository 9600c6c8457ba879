// Waiting for what the coordinator and its hosts still have to do, as --wait asks.

#ifndef WEFT_CLIENT_CLI_WAIT_H_
#define WEFT_CLIENT_CLI_WAIT_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/context.h"

namespace weft::cli {

// Blocks, without limit, until `done` says true: asks it now, and after each event that can
// change the answer. Says that it waits for `what` if it has to. Errors: those of `done`,
// which end the wait; UNREACHABLE.
absl::Status WaitUntil(Context& context, const std::string& what,
                       absl::FunctionRef<absl::StatusOr<bool>()> done);

// Until every device of the pool says so in its label and all bytes that need it are
// zeroed. `pool`: `pools/<id>`.
absl::Status WaitForPool(Context& context, const std::string& pool);

// Until a host has proved that it sees the device: pools can have it then. `device`:
// `devices/<uuid>`.
absl::Status WaitForDevice(Context& context, const std::string& device);

// Until the segment's holders have let go and it is gone. `segment`: its full name.
absl::Status WaitForDeletion(Context& context, const std::string& segment);

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_WAIT_H_
