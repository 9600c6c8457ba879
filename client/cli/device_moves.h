// What a device that is being drained still has, for people and programs.

#ifndef WEFT_CLIENT_CLI_DEVICE_MOVES_H_
#define WEFT_CLIENT_CLI_DEVICE_MOVES_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "client/cli/context.h"
#include "proto/weft/v1/device.pb.h"

namespace weft::cli {

// "draining", "drained", ...
std::string DeviceStateText(const v1::Device& device);

// Prints `text` of the device and, if it is being drained, a table of what it still has; as JSON
// the device, with "moves".
absl::Status PrintWithMoves(Context& context, const v1::Device& device,
                            absl::FunctionRef<std::string(const v1::Device&)> text);

}  // namespace weft::cli

#endif  // WEFT_CLIENT_CLI_DEVICE_MOVES_H_
