// How sessions go on while the store takes no changes, and when a leader has loaded its records
// again because of that: what it knows besides them.

#ifndef WEFT_SERVER_CORE_UNRECORDED_H_
#define WEFT_SERVER_CORE_UNRECORDED_H_

#include <string>

#include "absl/container/btree_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/weft/v1/session.pb.h"
#include "server/core/ranges.h"
#include "server/core/state.h"

namespace weft {

// What only the hosts' next registrations would bring in again, and they stay connected. It is
// what hosts said: true, whatever became of the transactions with it.
struct Unrecorded {
  struct Lease {
    std::string session_id;
    absl::Duration renewed_at;
  };
  absl::btree_map<std::string, Lease> leases;  // by host
  absl::btree_map<DeviceId, absl::btree_map<std::string, ByteRanges>> bad_on;
};

Unrecorded UnrecordedOf(const State& state);

// Takes it over into the same cluster's `state`, which was just loaded: leases end when they
// would have ended (one that Tick ended in vain goes on anew), and proofs, which are not kept,
// begin again. REQUIRES: hosts will be told of all their assignments.
void TakeOver(Unrecorded unrecorded, State& state);

// Goes on with the session of the same run of the daemon on the terms it has, and extends it: as
// Renew, not durable. Nothing else that the request says is taken: the host has to register once
// more when the store takes changes. RESOURCE_EXHAUSTED STORE_FULL: there is no such session.
absl::StatusOr<v1::Registered> Resume(State& state, Now now, const v1::Register& request);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_UNRECORDED_H_
