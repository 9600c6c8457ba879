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

// Whether what the host holds can be brought in: UNAVAILABLE RECOVERING if it holds a stray
// segment (strays.h) that cannot be taken over, if it sees a device in recovery and holds a
// segment that another host holds by the backup, or if it holds too many that it is not granted.
absl::Status CheckHeld(const State& state, const v1::Register& request);

// Takes over what CheckHeld let pass: raises the epoch above that of every token the host has,
// takes over strays, and, unless the session `continues`, grants what it holds on devices in
// recovery and the backup does not know of. A grant that it has under a later token than was
// ever given out is given anew. REQUIRES: it has a live session.
void TakeHeld(State& state, const Context& context, const v1::Register& request, bool continues,
              Changes& changes);

// Ends the recovery of one device that waits for no host any more. Returns whether there was
// one.
bool EndOneRecovery(State& state, const Context& context, Changes& changes);

// Brings the allocator in line with the device's state. REQUIRES: it is in a pool.
void UpdateAllocatable(State& state, const DeviceId& device);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_RECOVERY_H_
