// The one thread on which the coordinator's state lives.

#ifndef WEFT_SERVER_COORDINATOR_EXECUTOR_H_
#define WEFT_SERVER_COORDINATOR_EXECUTOR_H_

#include <array>
#include <cstddef>
#include <deque>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/coordinator/command.h"
#include "server/coordinator/command_runner.h"
#include "server/platform/clock.h"

namespace weft {

// Where a command waits. A flood in one lane delays the others by no more than what one
// round takes from it.
enum class Lane {
  // All that wait are taken into the next round.
  kRenewal = 0,
  // Registrations and reports of hosts.
  kSession = 1,
  // Everything else.
  kRequest = 2,
};
inline constexpr size_t kLanes = 3;

struct ExecutorOptions {
  // How many commands may wait, by lane.
  std::array<size_t, kLanes> max_queued = {16'384, 16'384, 4'096};
  // How many of each of kSession and kRequest a round takes.
  size_t max_round = 256;
};

// A bounded queue in front of a CommandRunner. Thread-safe.
class CommandExecutor {
 public:
  // REQUIRES: both outlive the executor; only it uses `runner` while Run runs.
  CommandExecutor(CommandRunner& runner, Clock& clock, ExecutorOptions options = {});

  CommandExecutor(const CommandExecutor&) = delete;
  CommandExecutor& operator=(const CommandExecutor&) = delete;

  // Queues `command` and returns. Its `done` is called exactly once: from Run or Refuse; or
  // by this call if the lane is full (RESOURCE_EXHAUSTED OVERLOADED), commands are being
  // refused, or the executor has stopped (UNAVAILABLE UNREACHABLE).
  void Submit(Lane lane, Command command) ABSL_LOCKS_EXCLUDED(mu_);

  // Runs commands, and what becomes due, until Stop or Refuse, or until the store belongs to
  // another process: then refuses further commands, as NOT_LEADER, and returns that as
  // FAILED_PRECONDITION STORE_IN_USE. May be called again when the runner has another term.
  // Runs on a thread of the caller's; after Stop it does no more than refuse.
  absl::Status Run() ABSL_LOCKS_EXCLUDED(mu_);

  // Runs one round of what waits now, without waiting for more: what Run repeats, and a
  // simulation calls.
  void RunRound() ABSL_LOCKS_EXCLUDED(mu_);

  // Answers every command with `why`, those that wait now too, until Accept.
  void Refuse(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mu_);
  void Accept() ABSL_LOCKS_EXCLUDED(mu_);

  // Makes Run return. Idempotent.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

  bool stopping() const ABSL_LOCKS_EXCLUDED(mu_);

  // How many commands wait in `lane`.
  size_t Queued(Lane lane) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Waits for commands, for `due` or for Stop.
  void Await(MonotonicTime due) ABSL_LOCKS_EXCLUDED(mu_);
  bool MustWake() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void TakeFrom(Lane lane, size_t max, std::vector<Command>& round)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool accepting() const ABSL_LOCKS_EXCLUDED(mu_);
  // What waits while nothing is accepted.
  void RefuseAll() ABSL_LOCKS_EXCLUDED(mu_);

  CommandRunner& runner_;
  Clock& clock_;
  const ExecutorOptions options_;

  mutable absl::Mutex mu_;
  std::array<std::deque<Command>, kLanes> lanes_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // Not OK: commands are being refused.
  absl::Status refusal_ ABSL_GUARDED_BY(mu_);
};

}  // namespace weft

#endif  // WEFT_SERVER_COORDINATOR_EXECUTOR_H_
