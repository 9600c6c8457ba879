// Segments: see SegmentService in proto/weft/v1/segment.proto for what each call does.

#ifndef WEFT_SERVER_CORE_SEGMENTS_H_
#define WEFT_SERVER_CORE_SEGMENTS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/weft/v1/segment.pb.h"
#include "server/core/state.h"

namespace weft {

absl::StatusOr<v1::Segment> CreateSegment(State& state, const Context& context,
                                          const v1::CreateSegmentRequest& request,
                                          Changes& changes);
absl::StatusOr<v1::Segment> GrowSegment(State& state, const Context& context,
                                        const v1::GrowSegmentRequest& request, Changes& changes);
absl::Status DeleteSegment(State& state, const Context& context,
                           const v1::DeleteSegmentRequest& request, Changes& changes);

absl::StatusOr<v1::Segment> GetSegment(const State& state, const v1::GetSegmentRequest& request);
absl::StatusOr<v1::ListSegmentsResponse> ListSegments(const State& state,
                                                      const v1::ListSegmentsRequest& request);

// Removes a segment that nobody holds and sends its bytes to be scrubbed.
// REQUIRES: it is there and HoldersOf it is empty.
void FinishDelete(State& state, const Context& context, SegmentId segment, Changes& changes);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_SEGMENTS_H_
