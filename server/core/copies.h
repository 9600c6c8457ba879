// Copies: a part of a segment that nobody holds, on its way to another device.
//
// What a part is copied to is a scrub of the host that copies, under whose token it reads and
// writes. Until the copy is finished the segment is where it was, and whatever ends the copy early
// leaves a scrub like any other. One transaction then makes the scrub's extents the segment's and
// the part that was copied a scrub. The segment has another id from then on: whoever knows the
// old one (a host whose session ended, a backup) knows the old place.

#ifndef WEFT_SERVER_CORE_COPIES_H_
#define WEFT_SERVER_CORE_COPIES_H_

#include <string>
#include <vector>

#include "proto/weft/v1/session.pb.h"
#include "server/core/state.h"

namespace weft {

// Has `host` copy `from`, a part of one extent of `segment`, to `to`, as long together.
// REQUIRES: nobody has a grant of the segment, and it is not being copied; `to` is of one device
// and reserved for this; the host is attached to both devices.
void StartCopy(State& state, const Context& context, SegmentId segment, const Extent& from,
               const std::vector<Extent>& to, const std::string& host, Changes& changes);

// Ends the copy of `segment`, if there is one: it stays where it is.
void StopCopy(State& state, const Context& context, SegmentId segment, const std::string& why,
              Changes& changes);

// Ends the copies that `host` makes: it is silent, and others can copy.
void StopCopiesOf(State& state, const Context& context, const std::string& host, Changes& changes);

// An older token, or an unknown copy, is passed over.
void TakeCopyProgress(State& state, const Context& context, const std::string& host,
                      const v1::CopyProgress& progress, Changes& changes);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_COPIES_H_
