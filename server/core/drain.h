// Emptying hosts and devices, so that they can be taken away.

#ifndef WEFT_SERVER_CORE_DRAIN_H_
#define WEFT_SERVER_CORE_DRAIN_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/weft/v1/device.pb.h"
#include "proto/weft/v1/host.pb.h"
#include "server/core/state.h"

namespace weft {

absl::StatusOr<v1::Host> DrainHost(State& state, const Context& context,
                                   const v1::DrainHostRequest& request, Changes& changes);
absl::StatusOr<v1::Host> UndrainHost(State& state, const Context& context,
                                     const v1::UndrainHostRequest& request, Changes& changes);

// FAILED_PRECONDITION DRAINING if the host gets nothing new. REQUIRES: it is known.
absl::Status CheckNotDraining(const State& state, const std::string& host);

absl::StatusOr<v1::Device> DrainDevice(State& state, const Context& context,
                                       const v1::DrainDeviceRequest& request, Changes& changes);
absl::StatusOr<v1::Device> UndrainDevice(State& state, const Context& context,
                                         const v1::UndrainDeviceRequest& request, Changes& changes);
absl::StatusOr<v1::Device> RemoveDevice(State& state, const Context& context,
                                        const v1::RemoveDeviceRequest& request, Changes& changes);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_DRAIN_H_
