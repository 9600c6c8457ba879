// Where a part of a segment can be copied to, and by whom.

#ifndef WEFT_SERVER_CORE_PLACES_H_
#define WEFT_SERVER_CORE_PLACES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/core/state.h"

namespace weft {

struct Place {
  // A part of one extent of the segment.
  Extent from;
  // As long together, of one device, and reserved: for a copy, or to be freed.
  std::vector<Extent> to;
  std::string host;
};

// Finds a place for a part of `segment` that is on `device`, as its placement asks where that is
// possible: on a device that is coherent by hardware if all of the segment's are; a column of a
// stripe on a device that has none, if there is one.
//   UNAVAILABLE          every host that could copy it has enough to do
//   FAILED_PRECONDITION  no host that is alive sees the device
//   RESOURCE_EXHAUSTED   no room on a device that such a host sees, too
// REQUIRES: the segment has bytes there.
absl::StatusOr<Place> ReservePlace(State& state, const v1::Segment& segment,
                                   const DeviceId& device);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_PLACES_H_
