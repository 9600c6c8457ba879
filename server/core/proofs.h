// The proof that a host's device is the memory that its UUID stands for.
//
// A label proves little: files are cloned and cables are swapped. So a newcomer must read
// from its device what a holder just wrote through its own, and the other way round. When
// no holder is alive, the newcomer must find what the last proof left there.

#ifndef WEFT_SERVER_CORE_PROOFS_H_
#define WEFT_SERVER_CORE_PROOFS_H_

#include <string>

#include "proto/weft/v1/session.pb.h"
#include "server/core/state.h"

namespace weft {

// A proof uses the slot of the last one, and the two after it.
inline constexpr uint32_t kMinExchangeSlots = 4;

// Starts the proof of a host that waits for one, if none is under way for the device. The
// hosts take turns.
void AdvanceProofs(State& state, const Context& context, DeviceState& device, Changes& changes);

// Ends the proof under way if its step is overdue. A newcomer that did not answer waits for
// its next turn. A holder that did not is no proved one any more, and keeps what it was
// granted. The caller goes on with AdvanceProofs. Returns whether it ended.
bool EndOverdueProof(State& state, const Context& context, DeviceState& device, Changes& changes);

// Goes on after a step that `result` reports. Passes over a report of another step.
void ContinueProof(State& state, const Context& context, DeviceState& device,
                   const std::string& host, const v1::ExchangeResult& result, Changes& changes);

// Ends the proof under way if `host` has a part in it.
void CancelProof(DeviceState& device, const std::string& host, Changes& changes);

// The host that has to do the step.
const std::string& ActorOf(const Exchange& exchange);

v1::Assignment ExchangeAssignment(const DeviceState& device);

// Durable, and with an event if it is news: the host's device is not what it should be.
void Mismatch(State& state, const Context& context, DeviceState& device, const std::string& host,
              const std::string& detail, Changes& changes);

}  // namespace weft

#endif  // WEFT_SERVER_CORE_PROOFS_H_
