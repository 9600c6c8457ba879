// The runs of a segment: which bytes of devices its own are, in order.

#ifndef WEFT_SERVER_CORE_RUNS_H_
#define WEFT_SERVER_CORE_RUNS_H_

#include <vector>

#include "proto/weft/v1/segment.pb.h"
#include "server/core/types.h"

namespace weft {

// Appends `next`, joined with the last run where it directly continues that.
void AppendRun(v1::Segment& segment, const v1::Run& next);

// Puts `to`, as long as `from` together, in the place of `from`. REQUIRES: `from` is a part of one
// extent of the segment; of a striped run all of one, and `to` is one extent.
void ReplaceExtent(v1::Segment& segment, const Extent& from, const std::vector<Extent>& to);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_RUNS_H_
