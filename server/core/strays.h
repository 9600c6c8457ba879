// Stray segments: those that hosts hold and that the coordinator does not know, since they were
// made after the backup from which it was restored.
//
// A stray's bytes are taken out of the free ones when its host registers, and nobody gets them
// before the host has let go, or has been fenced; then they are zeroed like any that were
// freed. Meanwhile its programs go on with what they have mapped, under the token that they
// have. Nobody can open it anew. An administrator ends it with RevokeStray.

#ifndef WEFT_SERVER_CORE_STRAYS_H_
#define WEFT_SERVER_CORE_STRAYS_H_

#include <string>

#include "absl/container/btree_set.h"
#include "absl/status/status.h"
#include "proto/weft/v1/session.pb.h"
#include "server/core/state.h"

namespace weft {

// Whether a segment of this id that a host holds is one that the coordinator lost: it is not
// known, and was not deleted either.
bool IsStray(const State& state, SegmentId segment);

// UNAVAILABLE RECOVERING: the host does not say where the segment is, or its bytes have other
// owners by the records.
// REQUIRES: it is not known.
absl::Status CheckStray(const State& state, const std::string& host, const v1::HeldGrant& held);

// Takes over a stray that `host` holds. Nothing if it is known. REQUIRES: CheckStray.
void TakeStray(State& state, const Context& context, const std::string& host,
               const v1::HeldGrant& held, Changes& changes);

// The host cannot touch these any more: Tick drops them.
void StartDroppingStrays(State& state, const std::string& host,
                         const absl::btree_set<SegmentId>& segments, Changes& changes);
// Those of the host that `request` does not name as held.
void DropStraysNotHeld(State& state, const v1::Register& request, Changes& changes);
// Drops some, until `changes` are full. Returns whether there are more.
bool WorkOffStrays(State& state, const Context& context, Changes& changes);

// As ReleaseGrant, of a stray. An older token, or no such stray, is passed over.
void ReleaseStray(State& state, const Context& context, SegmentId segment, const std::string& host,
                  const Token& token, Changes& changes);

// Tells the host to take the segment from its clients and to let go. NOT_FOUND
// SEGMENT_NOT_FOUND: it has no such stray.
absl::Status RevokeStray(State& state, const Context& context, SegmentId segment,
                         const std::string& host, Changes& changes);

// FAILED_PRECONDITION IN_USE: a stray has bytes of the device.
absl::Status CheckNoStrays(const State& state, const DeviceId& device);

void AppendStrayAssignments(const State& state, const std::string& host,
                            v1::Assignments& assignments);

// After all else that takes bytes was loaded, but for the quarantine.
absl::Status IndexStrays(State& state);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_STRAYS_H_
