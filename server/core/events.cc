#include "server/core/events.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/core/errors.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/paging.h"

namespace weft {

std::string Clip(const std::string& text) {
  if (text.size() <= kMaxTextLength) return text;
  size_t end = kMaxTextLength;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

void Emit(State& state, const Context& context, v1::EventType type, const std::string& resource,
          const std::string& subject, const std::string& detail, Changes& changes) {
  state.cluster.set_revision(state.cluster.revision() + 1);
  PutCluster(state, changes);

  store::v1::EventRecord record;
  v1::Event& event = *record.mutable_event();
  event.set_revision(state.cluster.revision());
  event.set_time_unix_ms(context.now.unix_ms);
  event.set_type(type);
  event.set_resource(resource);
  event.set_subject(subject);
  event.set_principal(context.principal);
  event.set_detail(Clip(detail));
  changes.Put(keys::Event(event.revision()), record);
  changes.events.push_back(event);
  state.events.push_back(std::move(event));
  if (state.events.size() > state.options.max_events) {
    changes.Delete(keys::Event(state.events.front().revision()));
    state.events.pop_front();
  }
}

absl::StatusOr<v1::ListEventsResponse> ListEvents(const State& state,
                                                  const v1::ListEventsRequest& request) {
  const uint64_t after = request.after_revision();
  const uint64_t oldest =
      state.events.empty() ? state.cluster.revision() + 1 : state.events.front().revision();
  const bool compacted = after != 0 && after + 1 < oldest;
  if (compacted || after > state.cluster.revision()) {
    return MakeError(
        absl::StatusCode::kOutOfRange, v1::EVENTS_COMPACTED,
        absl::StrCat("revision ", after, " is not kept (", oldest, " to ", state.cluster.revision(),
                     " are): list the resources and watch from there"));
  }
  auto first = std::upper_bound(
      state.events.begin(), state.events.end(), after,
      [](uint64_t revision, const v1::Event& event) { return revision < event.revision(); });
  v1::ListEventsResponse response;
  const int32_t page_size = PageSize(request.page_size());
  for (; first != state.events.end() && response.events_size() < page_size; ++first) {
    *response.add_events() = *first;
  }
  if (first != state.events.end()) {
    response.set_next_revision(response.events(response.events_size() - 1).revision());
  }
  return response;
}

}  // namespace weft
