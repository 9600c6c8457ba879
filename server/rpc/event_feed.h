// Tells those who watch events that there are new ones.

#ifndef WEFT_SERVER_RPC_EVENT_FEED_H_
#define WEFT_SERVER_RPC_EVENT_FEED_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace weft {

// Someone who has read all events and waits for more.
class EventWaiter {
 public:
  virtual ~EventWaiter() = default;
  // There may be newer events. Must not block.
  virtual void Wake() = 0;
};

// Carries no events, only the news: a watcher reads them from the state in its own pace,
// so that a slow one costs no memory and misses none that are kept. Thread-safe.
class EventFeed {
 public:
  // News makes each of them ask the executor for a page: fewer than may wait there.
  static constexpr size_t kMaxWatchers = 1024;

  // The newest event is that of `revision`, which may be older than before if the state
  // was loaded again. Wakes everyone who waits.
  void Announce(uint64_t revision) ABSL_LOCKS_EXCLUDED(mu_);

  // Wakes everyone who waits, and whoever would: to see that there is no state to read from.
  // Until Announce.
  void WakeAll() ABSL_LOCKS_EXCLUDED(mu_);

  // Takes a place among those who watch; false: there are too many. Each is given back with
  // Leave.
  bool Join() ABSL_LOCKS_EXCLUDED(mu_);
  void Leave() ABSL_LOCKS_EXCLUDED(mu_);

  // Has `waiter` woken, once, when there is an event after `after_revision`. False: there
  // is one already, and the waiter will not be woken.
  bool Await(uint64_t after_revision, std::shared_ptr<EventWaiter> waiter) ABSL_LOCKS_EXCLUDED(mu_);

  // True: `waiter` was waiting and will not be woken.
  bool Cancel(const std::shared_ptr<EventWaiter>& waiter) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  absl::Mutex mu_;
  size_t watchers_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t newest_ ABSL_GUARDED_BY(mu_) = 0;
  std::set<std::shared_ptr<EventWaiter>> waiters_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft

#endif  // WEFT_SERVER_RPC_EVENT_FEED_H_
