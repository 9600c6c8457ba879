#include "server/node/lease.h"

#include "server/core/check.h"

namespace weft {
namespace {

constexpr size_t kMaxUnconfirmed = 16;

}  // namespace

void Lease::Begin(BootTime sent, absl::Duration ttl) {
  WEFT_CHECK(ttl > absl::ZeroDuration());
  ttl_ = ttl;
  Extend(sent);
}

v1::Renew Lease::MakeRenew(BootTime now) {
  v1::Renew renew;
  renew.set_sequence(++last_sequence_);
  // Three are sent in a lease: the confirmation of a much older one is worth nothing.
  if (unconfirmed_.size() >= kMaxUnconfirmed) unconfirmed_.erase(unconfirmed_.begin());
  unconfirmed_[last_sequence_] = now;
  return renew;
}

void Lease::Confirm(uint64_t sequence) {
  const auto sent = unconfirmed_.find(sequence);
  if (sent == unconfirmed_.end()) return;
  Extend(sent->second);
  unconfirmed_.erase(unconfirmed_.begin(), std::next(sent));
}

void Lease::Extend(BootTime sent) {
  const BootTime deadline = sent + ttl_ - ttl_ / 10;
  if (deadline <= deadline_) return;
  deadline_ = deadline;
  if (dead_man_ != nullptr) dead_man_->Arm(deadline_);
}

}  // namespace weft
