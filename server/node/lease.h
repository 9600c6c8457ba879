// The daemon's own idea of how long it may go on. No clock reads, no I/O.

#ifndef WEFT_SERVER_NODE_LEASE_H_
#define WEFT_SERVER_NODE_LEASE_H_

#include <cstdint>
#include <map>

#include "absl/time/time.h"
#include "proto/weft/v1/session.pb.h"
#include "server/platform/clock.h"

namespace weft {

// Takes everything back at the deadline, whatever becomes of this process.
class DeadMan {
 public:
  virtual ~DeadMan() = default;

  // Moves the deadline. Called for each renewal that the coordinator confirmed.
  virtual void Arm(BootTime deadline) = 0;
};

// The lease of one session: see "Time and fencing" in docs/ARCHITECTURE.md. All times are
// of the same boot clock. Not thread-safe.
class Lease {
 public:
  // `dead_man` may be null: the backend has none.
  explicit Lease(DeadMan* dead_man) : dead_man_(dead_man) {}

  // The coordinator accepted the Register sent at `sent`, which counts as a renewal.
  // REQUIRES: ttl > 0.
  void Begin(BootTime sent, absl::Duration ttl);
  // What to send as a renewal at `now`.
  v1::Renew MakeRenew(BootTime now);
  // The coordinator confirmed this renewal. A number that was not sent, or was confirmed
  // before, changes nothing.
  void Confirm(uint64_t sequence);
  // The stream broke: renewals sent on it will not be answered.
  void ForgetUnconfirmed() { unconfirmed_.clear(); }

  // When the daemon lets go: the send time of the last confirmed renewal + T - T/10. Never
  // moves back. InfinitePast before the first Begin.
  BootTime deadline() const { return deadline_; }
  absl::Duration renew_interval() const { return ttl_ / 3; }

 private:
  void Extend(BootTime sent);

  DeadMan* const dead_man_;
  absl::Duration ttl_;
  BootTime deadline_ = BootTime::InfinitePast();
  uint64_t last_sequence_ = 0;
  // When they were sent, by number.
  std::map<uint64_t, BootTime> unconfirmed_;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_LEASE_H_
