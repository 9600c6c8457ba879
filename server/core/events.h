// The record of what happened.

#ifndef WEFT_SERVER_CORE_EVENTS_H_
#define WEFT_SERVER_CORE_EVENTS_H_

#include <string>

#include "absl/status/statusor.h"
#include "proto/weft/v1/event.pb.h"
#include "server/core/state.h"

namespace weft {

// Raises the cluster's revision and records an event at it. The oldest event beyond the
// maximum is forgotten.
void Emit(State& state, const Context& context, v1::EventType type, const std::string& resource,
          const std::string& subject, const std::string& detail, Changes& changes);

// The longest text that a host or client may have kept in the coordinator's records.
inline constexpr size_t kMaxTextLength = 256;

// At most kMaxTextLength bytes of `text`, which came from a host; whole characters.
std::string Clip(const std::string& text);

// At most `page_size` kept events after `after_revision`. OUT_OF_RANGE EVENTS_COMPACTED.
absl::StatusOr<v1::ListEventsResponse> ListEvents(const State& state,
                                                  const v1::ListEventsRequest& request);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_EVENTS_H_
