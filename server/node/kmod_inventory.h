// The kernel module's segments, for a comparison with what the coordinator has.

#ifndef WEFT_SERVER_NODE_KMOD_INVENTORY_H_
#define WEFT_SERVER_NODE_KMOD_INVENTORY_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/weft/v1/session.pb.h"
#include "server/platform/kmod.h"

namespace weft {

// By id, the first `most` of those after `after`; without what the daemon makes to scrub.
absl::StatusOr<std::vector<v1::KernelSegment>> ListKernelSegments(Kmod& kmod, SegmentId after,
                                                                  size_t most);

}  // namespace weft

#endif  // WEFT_SERVER_NODE_KMOD_INVENTORY_H_
