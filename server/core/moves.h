// Moves: which segment leaves a device that is being drained next, and where it goes. How it gets
// there is told in copies.h.
//
// Nothing of this is recorded but the copies themselves: what a DRAINING device still has follows
// from the segments. A segment that cannot move is looked at again with every Tick, many at a
// time, and as soon as its last holder has let go.

#ifndef WEFT_SERVER_CORE_MOVES_H_
#define WEFT_SERVER_CORE_MOVES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/weft/v1/device.pb.h"
#include "server/core/state.h"

namespace weft {

// Finds what has to leave `device`. REQUIRES: it is DRAINING; its segments are known.
void IndexDrain(State& state, const DeviceId& device);

// `device` is not DRAINING any more. Copies that are under way go on.
void EndDrain(State& state, const DeviceId& device);

// Nothing of the segment has to leave any device any more.
void ForgetMoves(State& state, SegmentId segment);

// The segment of the id `before` has other bytes, and another id, and is `after` now.
void ReplaceInDrains(State& state, SegmentId before, const v1::Segment& after);

// A copy of `segment` failed: it is not tried again before the drain is asked for again.
void FailMove(State& state, const DeviceId& device, SegmentId segment, const std::string& why);

// Starts to copy what can be. Returns whether the transaction was full before all was tried.
bool StartMoves(State& state, const Context& context, Changes& changes);
// Of one device, if it is DRAINING.
bool StartMovesOff(State& state, const Context& context, const DeviceId& device, Changes& changes);
// Of one segment, if it is on a device that is DRAINING: nobody may hold it any more.
void TryToMove(State& state, const Context& context, SegmentId segment, Changes& changes);

// UNAVAILABLE MOVING: a drain that goes first is moving the segment.
absl::Status CheckNotTaken(const State& state, const v1::Segment& segment);

// Whether a DRAINING device has nothing of segments and scrubs any more, and the event if so.
bool IsDrained(const DeviceState& device);
void TellIfDrained(State& state, const Context& context, const DeviceId& device, Changes& changes);

absl::StatusOr<v1::ListMovesResponse> ListMoves(const State& state,
                                                const v1::ListMovesRequest& request);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_MOVES_H_
