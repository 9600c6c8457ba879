// The summary of the cluster.

#ifndef WEFT_SERVER_CORE_STATUS_H_
#define WEFT_SERVER_CORE_STATUS_H_

#include "proto/weft/v1/cluster.pb.h"
#include "server/core/state.h"

namespace weft {

// Everything but the coordinator's uptime.
v1::ClusterStatus StatusOf(const State& state);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_STATUS_H_
