#include "server/rpc/event_feed.h"

#include <limits>
#include <utility>

namespace weft {

void EventFeed::Announce(uint64_t revision) {
  std::set<std::shared_ptr<EventWaiter>> waiters;
  {
    absl::MutexLock lock(&mu_);
    newest_ = revision;
    waiters.swap(waiters_);
  }
  for (const std::shared_ptr<EventWaiter>& waiter : waiters) waiter->Wake();
}

void EventFeed::WakeAll() { Announce(std::numeric_limits<uint64_t>::max()); }

bool EventFeed::Join() {
  absl::MutexLock lock(&mu_);
  if (watchers_ >= kMaxWatchers) return false;
  ++watchers_;
  return true;
}

void EventFeed::Leave() {
  absl::MutexLock lock(&mu_);
  --watchers_;
}

bool EventFeed::Await(uint64_t after_revision, std::shared_ptr<EventWaiter> waiter) {
  absl::MutexLock lock(&mu_);
  if (newest_ > after_revision) return false;
  waiters_.insert(std::move(waiter));
  return true;
}

bool EventFeed::Cancel(const std::shared_ptr<EventWaiter>& waiter) {
  absl::MutexLock lock(&mu_);
  return waiters_.erase(waiter) > 0;
}

}  // namespace weft
