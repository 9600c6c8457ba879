// The threads that wait on a Clock: what the real and the fake clock have in common.

#ifndef WEFT_SERVER_PLATFORM_WAIT_LIST_H_
#define WEFT_SERVER_PLATFORM_WAIT_LIST_H_

#include <atomic>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/platform/clock.h"

namespace weft {

// Thread-safe.
class WaitList {
 public:
  // Waits as Clock::WaitUntil does; ends when WakeExpired(t) is called with t >=
  // `deadline`. `is_over` is called once the wait is listed, so that no WakeExpired is
  // missed between the two, and returns whether the deadline is over already.
  template <typename Fn>
  bool Wait(absl::Mutex& mu, const absl::Condition& condition, BootTime deadline, Fn is_over)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    Waiter waiter(mu, deadline);
    Add(waiter);
    if (is_over()) waiter.expired.store(true, std::memory_order_relaxed);
    const bool holds = Await(mu, waiter, condition);
    Remove(waiter);
    return holds;
  }

  // Ends the waits whose deadline is at or before `now`. Returns false if it could not
  // end all of them, since their mutexes were held: call it again soon.
  bool WakeExpired(BootTime now);

  // The earliest deadline of the waits that WakeExpired has not ended; InfiniteFuture
  // without any.
  BootTime Earliest() const;

  // Blocks until at least `count` waits are listed that WakeExpired has not ended.
  void AwaitWaiters(size_t count) const;

 private:
  struct Waiter {
    Waiter(absl::Mutex& m, BootTime d) : mu(m), deadline(d) {}

    absl::Mutex& mu;
    const BootTime deadline;
    std::atomic<bool> expired{false};
  };
  struct Earlier {
    bool operator()(const Waiter* a, const Waiter* b) const {
      return a->deadline != b->deadline ? a->deadline < b->deadline : a < b;
    }
  };

  void Add(Waiter& waiter);
  static bool Await(absl::Mutex& mu, Waiter& waiter, const absl::Condition& condition)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void Remove(Waiter& waiter);

  mutable absl::Mutex list_mu_;
  std::set<Waiter*, Earlier> waiters_ ABSL_GUARDED_BY(list_mu_);
};

}  // namespace weft

#endif  // WEFT_SERVER_PLATFORM_WAIT_LIST_H_
