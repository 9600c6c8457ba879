// Stopping hosts that do not answer, before what they held changes hands.

#ifndef WEFT_SERVER_CORE_FENCING_H_
#define WEFT_SERVER_CORE_FENCING_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/weft/v1/host.pb.h"
#include "server/core/state.h"

namespace weft {

// All hosts that are FENCING: whose agents have to run once the state is loaded. From then on
// Changes::fences says what changes.
std::vector<FenceOrder> FenceOrders(const State& state);

// The agent of `order` has run: `failure` is empty if it succeeded, which it says only of a
// host that has stopped since it was started. Frees what the host held. A result of another
// fence than the one under way is passed over.
void TakeFenceResult(State& state, const Context& context, const FenceOrder& order,
                     const std::string& failure, Changes& changes);

absl::StatusOr<v1::Host> FenceHost(State& state, const Context& context,
                                   const v1::FenceHostRequest& request, Changes& changes);

// The lease of a host whose session is over has run out. Frees what that alone proves to be
// let go of. The rest stays the host's until it is proved otherwise; if pools want an agent
// for that and there is one, it is FENCING from now on. REQUIRES: it has no session.
void SettleExpired(State& state, const Context& context, const std::string& host, Changes& changes);

// Frees all that the host had. REQUIRES: it cannot touch memory any more.
void FreeAll(State& state, const Context& context, const std::string& host, Changes& changes);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_FENCING_H_
