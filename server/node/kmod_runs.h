// From the coordinator's runs to the module's.

#ifndef WEFT_SERVER_NODE_KMOD_RUNS_H_
#define WEFT_SERVER_NODE_KMOD_RUNS_H_

#include <map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/weft/v1/session.pb.h"
#include "server/core/types.h"
#include "server/platform/kmod.h"

namespace weft {

// FAILED_PRECONDITION DEVICE_MISSING if a device of the segment is not in `devices`.
absl::Status CheckHasDevices(const v1::GrantAssignment& grant,
                             const std::map<DeviceId, KmodDeviceId>& devices);

// The segment's bytes behind the first `from`, which the module has already. INTERNAL if a
// stripe set would have to be cut. REQUIRES: CheckHasDevices.
absl::StatusOr<std::vector<KmodRun>> ToKmodRuns(const v1::GrantAssignment& grant,
                                                const std::map<DeviceId, KmodDeviceId>& devices,
                                                ByteCount from);

}  // namespace weft

#endif  // WEFT_SERVER_NODE_KMOD_RUNS_H_
