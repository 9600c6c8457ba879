#include "server/platform/wait_list.h"

namespace weft {

void WaitList::Add(Waiter& waiter) {
  absl::MutexLock lock(&list_mu_);
  waiters_.insert(&waiter);
}

bool WaitList::Await(absl::Mutex& mu, Waiter& waiter, const absl::Condition& condition) {
  bool holds = false;
  const auto done = [&] {
    holds = condition.Eval();
    return holds || waiter.expired.load(std::memory_order_acquire);
  };
  mu.Await(absl::Condition(&done));
  return holds;
}

void WaitList::Remove(Waiter& waiter) {
  absl::MutexLock lock(&list_mu_);
  waiters_.erase(&waiter);
}

bool WaitList::WakeExpired(BootTime now) {
  absl::MutexLock lock(&list_mu_);
  bool all = true;
  for (auto it = waiters_.begin(); it != waiters_.end() && (*it)->deadline <= now;) {
    Waiter& waiter = **it;
    waiter.expired.store(true, std::memory_order_release);
    // absl::Mutex looks at conditions when it is unlocked. Only tried, since a waiter
    // takes its own mutex before list_mu_. A waiter cannot go away meanwhile: it must
    // pass through Remove first.
    if (waiter.mu.TryLock()) {
      waiter.mu.Unlock();
      it = waiters_.erase(it);
    } else {
      all = false;
      ++it;
    }
  }
  return all;
}

BootTime WaitList::Earliest() const {
  absl::MutexLock lock(&list_mu_);
  return waiters_.empty() ? BootTime::InfiniteFuture() : (*waiters_.begin())->deadline;
}

void WaitList::AwaitWaiters(size_t count) const {
  const auto enough = [&]()
                          ABSL_SHARED_LOCKS_REQUIRED(list_mu_) { return waiters_.size() >= count; };
  absl::MutexLock lock(&list_mu_, absl::Condition(&enough));
}

}  // namespace weft
