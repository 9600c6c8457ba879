// The devices under a granted segment.

#ifndef WEFT_SERVER_NODE_GRANT_DEVICES_H_
#define WEFT_SERVER_NODE_GRANT_DEVICES_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "proto/weft/v1/node.pb.h"
#include "proto/weft/v1/session.pb.h"
#include "server/node/device_catalog.h"

namespace weft {

// As this host sees them, by `devices/<uuid>`. Errors: as DeviceCatalog::Find.
absl::StatusOr<std::map<std::string, KnownDevice>> FindGrantDevices(
    const DeviceCatalog& catalog, const v1::GrantAssignment& grant);

v1::DeviceIncarnation IncarnationOf(const std::string& name, const KnownDevice& device);

}  // namespace weft

#endif  // WEFT_SERVER_NODE_GRANT_DEVICES_H_
