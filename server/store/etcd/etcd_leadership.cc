#include "server/store/etcd/etcd_leadership.h"

#include <spdlog/spdlog.h>

#include <string>
#include <utility>

#include "server/core/errors.h"

namespace weft {
namespace {

// How long a follower relies on its watch alone: a member can be cut off, or hang.
constexpr absl::Duration kFollowerLooksAgain = absl::Seconds(2);
constexpr absl::Duration kPause = absl::Milliseconds(200);

std::string Text(const absl::Status& status) { return std::string(status.message()); }

}  // namespace

void EtcdLeadership::Run(const std::string& address) {
  options_.address = address;
  while (!stopping()) {
    const std::shared_ptr<EtcdTerm> term = Stand();
    if (term == nullptr) continue;
    spdlog::info("term_began revision={} address={}", term->guard_revision(), options_.address);
    Offer(term);
    Keep(*term);
    term->MarkOver();
    TellTermOver();
    spdlog::info("term_ended address={}", options_.address);
  }
  TellTermOver();
  GiveUpStore();
}

std::shared_ptr<EtcdTerm> EtcdLeadership::Stand() {
  EtcdLeader other;
  absl::StatusOr<std::shared_ptr<EtcdTerm>> term = EtcdTerm::TryBegin(client_, options_, &other);
  if (term.ok()) return *std::move(term);
  absl::Status status = term.status();
  if (ReasonOf(status) == v1::STORE_IN_USE) {
    // What this process left behind, and soon gone.
    TellFollowing(other.address == options_.address ? "" : other.address);
    status = Watch(EtcdTerm::LeaderKey(options_), other.revision + 1, kFollowerLooksAgain);
  } else {
    TellFollowing("");
  }
  if (!status.ok() && !stopping()) {
    spdlog::warn("cannot_stand error=\"{}\"", Text(status));
    Pause();
  }
  return nullptr;
}

absl::Status EtcdLeadership::Watch(const std::string& leader_key, int64_t revision,
                                   absl::Duration limit) {
  return client_->Watch(leader_key, revision, limit, [](const mvccpb::Event& event) {
    return event.type() != mvccpb::Event::DELETE;
  });
}

void EtcdLeadership::Keep(EtcdTerm& term) {
  BootTime lease_end = clock_.BootNow() + options_.ttl;
  while (!stopping() && !term.over()) {
    const BootTime sent = clock_.BootNow();
    const absl::Status kept = term.KeepAlive();
    if (kept.ok()) {
      lease_end = sent + options_.ttl;
    } else if (!stopping()) {
      spdlog::warn("lease_not_kept error=\"{}\"", Text(kept));
      // By etcd's word, or by this clock: then it may still be there, but nobody can be
      // served anyhow.
      if (absl::IsNotFound(kept) || clock_.BootNow() >= lease_end) return;
    }
    // From now on: an earlier deletion is seen here.
    if (absl::IsFailedPrecondition(term.Confirm())) return;
    if (!Watch(term.leader_key(), /*revision=*/0, options_.ttl / 3).ok()) Pause();
  }
}

void EtcdLeadership::Offer(std::shared_ptr<EtcdTerm> term) {
  absl::MutexLock lock(&mu_);
  offered_ = std::move(term);
}

absl::StatusOr<Store*> EtcdLeadership::AwaitTerm(LeadershipObserver& observer) {
  const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return stopping_ || offered_ != nullptr;
  };
  GiveUpStore();
  absl::MutexLock lock(&mu_);
  observer_ = &observer;
  mu_.Await(absl::Condition(&ready));
  if (stopping_) return absl::CancelledError("this coordinator is stopping");
  store_ = std::make_unique<EtcdStore>(client_, std::exchange(offered_, nullptr));
  return store_.get();
}

// Without the lock: this may give a lease back, which takes time.
void EtcdLeadership::GiveUpStore() {
  std::unique_ptr<EtcdStore> old;
  absl::MutexLock lock(&mu_);
  old.swap(store_);
}

void EtcdLeadership::Stop() {
  absl::MutexLock lock(&mu_);
  stopping_ = true;
  observer_ = nullptr;
}

void EtcdLeadership::TellFollowing(const std::string& address) {
  absl::MutexLock lock(&mu_);
  if (observer_ != nullptr) observer_->OnFollowing(address);
}

void EtcdLeadership::TellTermOver() {
  absl::MutexLock lock(&mu_);
  // The offer of a term that is over is of no use to anyone.
  offered_ = nullptr;
  if (observer_ != nullptr) observer_->OnTermOver();
}

void EtcdLeadership::Pause() {
  absl::MutexLock lock(&mu_);
  clock_.WaitUntil(mu_, absl::Condition(&stopping_), clock_.BootNow() + kPause);
}

bool EtcdLeadership::stopping() const {
  absl::MutexLock lock(&mu_);
  return stopping_;
}

}  // namespace weft
