#include "server/rpc/event_watch.h"

#include <algorithm>
#include <utility>

#include "server/core/events.h"
#include "server/rpc/status.h"

namespace weft {
namespace {

constexpr int kPageSize = 100;

}  // namespace

EventWatch* EventWatch::Start(const ServiceDeps& deps, EventFeed& feed, Caller caller,
                              uint64_t after_revision) {
  const std::shared_ptr<EventWatch> watch(
      new EventWatch(deps, feed, std::move(caller), after_revision));
  watch->self_ = watch;
  watch->ReadPage();
  return watch.get();
}

void EventWatch::ReadPage() {
  Command command;
  command.kind = CommandKind::kLocal;
  command.run = [self = shared_from_this()](State& state, const Now&, Changes&) {
    return self->TakePage(state);
  };
  command.done = [self = shared_from_this()](const absl::Status& status) { self->OnPage(status); };
  deps_.executor.Submit(Lane::kRequest, std::move(command));
}

absl::Status EventWatch::TakePage(const State& state) {
  if (absl::Status status = Authorize(state, caller_, Access::kEveryone); !status.ok()) {
    return status;
  }
  v1::ListEventsRequest request;
  request.set_after_revision(after_revision_);
  request.set_page_size(kPageSize);
  absl::StatusOr<v1::ListEventsResponse> page = ListEvents(state, request);
  if (!page.ok()) return page.status();
  page_ = *std::move(page);
  next_in_page_ = 0;
  page_revision_ = state.cluster.revision();
  return absl::OkStatus();
}

void EventWatch::OnPage(const absl::Status& status) {
  if (status.ok()) {
    Continue();
  } else {
    Finish(ToGrpcStatus(status));
  }
}

void EventWatch::OnWriteDone(bool ok) {
  if (!ok) {
    FinishCancelled();
    return;
  }
  after_revision_ = page_.events(next_in_page_++).revision();
  Continue();
}

void EventWatch::OnDone() {
  feed_.Leave();
  self_.reset();
}

void EventWatch::Continue() {
  if (cancelled_) {
    FinishCancelled();
  } else if (next_in_page_ < page_.events_size()) {
    StartWrite(&page_.events(next_in_page_));
  } else if (page_.next_revision() != 0) {
    ReadPage();
  } else {
    after_revision_ = std::max(after_revision_, page_revision_);
    const std::shared_ptr<EventWatch> self = shared_from_this();
    if (!feed_.Await(after_revision_, self)) {
      ReadPage();
    } else if (cancelled_ && feed_.Cancel(self)) {
      FinishCancelled();
    }
  }
}

// Whoever takes the watch from the feed finishes it; if it is not there, the one who is at
// work on it will see the flag.
void EventWatch::OnCancel() {
  cancelled_ = true;
  if (feed_.Cancel(shared_from_this())) FinishCancelled();
}

}  // namespace weft
