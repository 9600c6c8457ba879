// What the executor runs: one operation on the coordinator's state.

#ifndef WEFT_SERVER_COORDINATOR_COMMAND_H_
#define WEFT_SERVER_COORDINATOR_COMMAND_H_

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "server/core/changes.h"
#include "server/core/state.h"

namespace weft {

enum class CommandKind {
  // May change the state. Answered once what it left in Changes is durable.
  kMutation,
  // Changes nothing durable: a linearizable read, or a renewal. Answered once the store
  // has confirmed, after the command was taken, that this coordinator still leads.
  kConfirmed,
  // A read that may be answered from a state which a newer leader has replaced.
  kLocal,
};

struct Command {
  // Runs at most once, on the executor. May leave Changes only if it is a mutation; a
  // failure leaves both the state and Changes as they were.
  using Run = absl::AnyInvocable<absl::Status(State&, const Now&, Changes&)>;
  // Called exactly once: with what `run` returned when that may be told, or with the
  // reason why it does not count. Must not block.
  using Done = absl::AnyInvocable<void(const absl::Status&)>;

  CommandKind kind = CommandKind::kMutation;
  Run run;
  // Of a mutation, in place of `run` while the store takes no changes: changes nothing durable,
  // and is answered as a kConfirmed is. Empty: it is refused then.
  Run run_unrecorded = {};
  Done done;
};

}  // namespace weft

#endif  // WEFT_SERVER_COORDINATOR_COMMAND_H_
