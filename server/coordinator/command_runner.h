// The logic of the coordinator's executor: state, store, and when a reply may leave.

#ifndef WEFT_SERVER_COORDINATOR_COMMAND_RUNNER_H_
#define WEFT_SERVER_COORDINATOR_COMMAND_RUNNER_H_

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/coordinator/command.h"
#include "server/coordinator/staged.h"
#include "server/core/state.h"
#include "server/platform/clock.h"
#include "server/store/store.h"

namespace weft {

// What a CommandRunner tells those who are not a command. All calls come from within the
// runner, one at a time, and must not block.
class RunnerObserver {
 public:
  virtual ~RunnerObserver() = default;

  // `state` was loaded and is served from now on; whatever was heard before is void.
  virtual void OnLoaded(const State& /*state*/) {}
  // Service is refused until OnLoaded. `cause` is also passed if a load failed again.
  virtual void OnUnloaded(const absl::Status& /*cause*/) {}
  // `state` was loaded again, since a transaction certainly did not happen, for `cause`. What was
  // heard before is true still; only what hosts are assigned may have changed.
  virtual void OnLoadedAgain(const State& /*state*/, const absl::Status& /*cause*/) {}
  // `changes` are durable and their commands have been answered. `revision` is the
  // cluster's at that point; `state` may already be further.
  virtual void OnCommitted(const State& /*state*/, const Changes& /*changes*/,
                           uint64_t /*revision*/) {}
  // A round ran `commands`; a transaction took `latency`.
  virtual void OnRound(size_t /*commands*/) {}
  virtual void OnCommit(const absl::Status& /*status*/, absl::Duration /*latency*/) {}
};

// Runs commands in rounds; each is one transaction unless the store's limits make it more
// (group commit). No reply, event or assignment leaves before its transaction is durable
// (invariant 4), and no renewal, linearizable read or mutation that changes nothing is answered
// unless the store has confirmed, after the round began, that this coordinator still leads.
//
// A commit whose outcome is unknown leaves nobody knowing what the state is: it is dropped and
// loaded again, with growing pauses, while service is refused. No transaction is ever repeated,
// and what its commands get says whether it may have happened. Commands that change nothing run
// before the mutations of their round.
//
// After a commit that certainly did not happen, since the store is full say, the state in memory
// is only ahead of the store: it is loaded again, once, and sessions go on. Then mutations are
// refused without being run, and nobody's lease is ended, for a pause that grows; after it the
// store is asked, with a transaction that changes nothing, whether it takes changes. So however
// long it is full and whatever clients try meanwhile, it costs a small write per pause, and a
// load when it takes that one and refuses the next.
//
// Blocks in the store. Not thread-safe: the shell around it (CommandExecutor, or a simulation)
// calls it from one thread. Reads only the clock it is given.
class CommandRunner {
 public:
  // Nothing is served, or may be run, before BeginTerm.
  CommandRunner(const Clock& clock, CoreOptions options, RunnerObserver& observer);
  CommandRunner(Store& store, const Clock& clock, CoreOptions options, RunnerObserver& observer);

  CommandRunner(const CommandRunner&) = delete;
  CommandRunner& operator=(const CommandRunner&) = delete;

  // From now on the state is that of `store`, which outlives the term: nothing is served
  // until it is loaded.
  void BeginTerm(Store& store);

  // Drops the state. REQUIRES: nothing is run before BeginTerm.
  void EndTerm();

  // Loads the state for the first time. On an error nothing is served; RunOnce would try
  // again.
  absl::Status Load();

  // Runs a round: the commands, and what time has made due (expiry, a new attempt to
  // load). Every command has been answered when it returns.
  void RunOnce(std::vector<Command> commands);

  // When RunOnce has something to do even without commands.
  MonotonicTime NextDue() const;

  // Not OK once another process owns the store: nothing helps but another term.
  const absl::Status& deposed() const { return deposed_; }

 private:
  struct Answer {
    Command::Done done;
    absl::Status status;
  };

  Now TakeNow() const;
  // Tries to load if it is time to. Returns whether there is a state.
  bool EnsureLoaded();
  void Unload(const absl::Status& cause);
  // After a transaction that did not happen, for `cause`.
  void LoadAgain(const absl::Status& cause);
  // Begins a pause without mutations, or another one.
  void Pause(const absl::Status& cause);
  // Asks the store whether it takes changes, if there is a pause and it is over.
  void TryToEndPause();
  // Why there is no state.
  absl::Status NotServing() const;
  // Asks the store whether this process still owns it.
  absl::Status ConfirmLeadership();

  void RunUnchanging(std::vector<Command>& commands, const Now& now);
  void RunMutation(Command& command, const Now& now);
  void RunTick(const Now& now);

  absl::Status Commit(const Changes& changes);
  // Makes `staged_` durable and answers the commands behind it. False: it failed, they
  // have been told `error` or worse, and so must a command that has run but is not in it.
  bool Flush(absl::Status* error);
  // For answers with nothing to commit, which are reads of a kind: true if this coordinator
  // leads; otherwise as Flush.
  bool ConfirmAnswers(const Staged& staged, std::vector<Answer>& answers, absl::Status* error);
  // What the commands of a transaction that ended with `status` are told.
  static absl::Status ErrorForCommands(const absl::Status& status);

  Store* store_ = nullptr;
  const Clock& clock_;
  const CoreOptions options_;
  RunnerObserver& observer_;

  std::unique_ptr<State> state_;  // null: not serving
  absl::Status deposed_;
  absl::Duration retry_pause_;
  MonotonicTime next_load_;
  absl::Duration next_tick_;  // on Now::monotonic

  absl::Status refusal_;  // of mutations, while it is not OK
  absl::Duration pause_;
  MonotonicTime pause_began_ = MonotonicTime::InfinitePast();
  MonotonicTime pause_ends_;

  Staged staged_{StoreLimits()};
  std::vector<Answer> answers_;  // wait for staged_
};

}  // namespace weft

#endif  // WEFT_SERVER_COORDINATOR_COMMAND_RUNNER_H_
