// Work that one event can make more of than one transaction takes: the grants of a host that
// expired or is being drained, the segments of a device that lost its contents, the scrubs of a
// segment on many devices. The event itself is one durable change, after which nobody relies on
// them; Tick does the rest a few at a time.

#ifndef WEFT_SERVER_CORE_BACKLOG_H_
#define WEFT_SERVER_CORE_BACKLOG_H_

#include <string>

#include "absl/container/btree_set.h"
#include "server/core/state.h"

namespace weft {

// Whether a transaction is to be closed before it takes what can be done later. What one
// command or step adds after that still fits in 128 mutations, the narrowest store's: at most
// 64 scrubs, of a segment that lies on all devices of its pool, and a few more.
bool IsFull(const Changes& changes);

// `host` cannot touch `segments` any more: from now on its grants of them exclude nobody,
// and are dropped later. REQUIRES: it has grants of them.
void StartReleasing(State& state, const std::string& host,
                    const absl::btree_set<SegmentId>& segments, Changes& changes);

// `device` lost its contents: its segments are marked as lost later. REQUIRES: it is
// DEVICE_LOST.
void StartLosing(State& state, const DeviceId& device);

// Does some of what is left. Returns whether anything is.
bool WorkOffBacklog(State& state, const Context& context, Changes& changes);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_BACKLOG_H_
