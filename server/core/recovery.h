// What follows a restore from a backup: the state is older than what hosts may do by it.
//
// Every device of a pool is in recovery, and every host UNCERTAIN, whatever the backup said.
// Nothing of a device in recovery is allocated, granted anew, zeroed or deleted, until no host
// that the backup knew there can still hold what the backup does not know: until each has
// registered, saying what it holds, or has been fenced. Then all free bytes are zeroed before
// they are used, since tenants may have had them after the backup was made.

#ifndef WEFT_SERVER_CORE_RECOVERY_H_
#define WEFT_SERVER_CORE_RECOVERY_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "proto/weft/v1/session.pb.h"
#include "server/core/state.h"

namespace weft {

// Makes the records of a backup those to go on from: ends all sessions, raises the epoch, leaves
// out every number that can have been given out since. `state` is good for RecordsOf afterwards,
// and for nothing else.
void PrepareRestored(State& state, const Context& context);

bool IsRecovering(const State& state, const DeviceId& device);
// The hosts that the device's recovery waits for.
std::vector<std::string> AwaitedHosts(const State& state, const DeviceId& device);
// UNAVAILABLE RECOVERING, with the hosts that are awaited.
absl::Status CheckNotRecovering(const State& state, const DeviceId& device);
absl::Status CheckNotRecovering(const State& state, const v1::Segment& segment);
// All devices of the pool.
absl::Status CheckNotRecovering(const State& state, const PoolState& pool);

// Whether what the host holds can be brought in. UNAVAILABLE RECOVERING: it holds a stray segment
// (strays.h) that cannot be taken over, a grant that excludes what another host was confirmed since
// the restore, or too much that the records do not have. INVALID_ARGUMENT BAD_ARGUMENT: a token of
// it was given out by no cluster.
absl::Status CheckHeld(const State& state, const v1::Register& request);

// Takes over what CheckHeld let pass: raises the epoch above that of every token the host has,
// takes over strays, and records, as the host has them, the grants that are later than what is
// recorded of them and, unless the session `continues` or it sees no device in recovery, those
// that are not recorded. Of two that exclude each other the one under the later token holds: the
// other was over before that was given out. REQUIRES: the host has a live session.
void TakeHeld(State& state, const Context& context, const v1::Register& request, bool continues,
              Changes& changes);

// Goes on to end the recovery of a device that waits for no host any more. Returns whether there
// was one.
bool EndOneRecovery(State& state, const Context& context, Changes& changes);

// Brings the allocator in line with the device's state. REQUIRES: it is in a pool.
void UpdateAllocatable(State& state, const DeviceId& device);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_RECOVERY_H_
