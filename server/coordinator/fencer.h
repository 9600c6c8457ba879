// Runs fence agents, outside the executor.

#ifndef WEFT_SERVER_COORDINATOR_FENCER_H_
#define WEFT_SERVER_COORDINATOR_FENCER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/btree_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/coordinator/fence_agents.h"
#include "server/core/fencing.h"
#include "server/platform/clock.h"
#include "server/platform/program.h"

namespace weft {

// Keeps running the agent of every host that is to be fenced, with growing pauses, until it
// succeeds and that is in the state, or the fence is not wanted any more. Thread-safe.
class Fencer {
 public:
  // Brings the outcome of a run into the state (`failure` as TakeFenceResult's), then calls
  // `done` once with whether it is durable. Must not block.
  using ReportFn = std::function<void(const FenceOrder&, const std::string& failure,
                                      absl::AnyInvocable<void(const absl::Status&)> done)>;

  // `runner` and `clock` outlive the fencer.
  Fencer(FenceAgents agents, ProgramRunner& runner, Clock& clock, ReportFn report);

  // How many agents may run at the same time: so many threads should be in Run.
  size_t concurrency() const;

  // Makes `orders` all that is wanted. What runs for others is killed and not reported.
  void Reset(const std::vector<FenceOrder>& orders) ABSL_LOCKS_EXCLUDED(mu_);
  // Takes Changes::fences.
  void Apply(const absl::btree_map<FenceOrder, bool>& fences) ABSL_LOCKS_EXCLUDED(mu_);

  // One fence that is wanted.
  struct Job {
    FenceOrder order;
    int failures = 0;
    BootTime not_before;
    // From the start of its agent until its report has been answered.
    bool busy = false;
    Program* running = nullptr;
  };

  // A job whose time has come, for which an agent is to be run now, and then Finish to be
  // called: what Run does, for who runs agents otherwise. Null: there is none before `next`.
  std::shared_ptr<Job> TakeJob(BootTime& next) ABSL_LOCKS_EXCLUDED(mu_);
  // The agent of `job` has run: `failure` as TakeFenceResult's.
  void Finish(const std::shared_ptr<Job>& job, const std::string& failure) ABSL_LOCKS_EXCLUDED(mu_);

  // Runs agents until Stop. For threads of its own.
  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  // Makes Run return; what runs is killed and not reported.
  void Stop() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Add(const FenceOrder& order) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Remove(const FenceOrder& order) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::shared_ptr<Job> TakeDue(BootTime& next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Waits for a job whose time has come; null once stopped.
  std::shared_ptr<Job> AwaitJob() ABSL_LOCKS_EXCLUDED(mu_);
  void RunJob(const std::shared_ptr<Job>& job) ABSL_LOCKS_EXCLUDED(mu_);
  // Runs the agent. Returns what is wrong; empty: it succeeded.
  std::string RunAgent(Job& job) ABSL_LOCKS_EXCLUDED(mu_);
  // Publishes the program for Remove and Stop to kill; null: it is over.
  void SetRunning(Job& job, Program* program) ABSL_LOCKS_EXCLUDED(mu_);
  void OnReported(Job& job, bool succeeded) ABSL_LOCKS_EXCLUDED(mu_);
  bool IsWanted(const Job& job) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const FenceAgents agents_;
  ProgramRunner& runner_;
  Clock& clock_;
  const ReportFn report_;

  mutable absl::Mutex mu_;
  std::map<FenceOrder, std::shared_ptr<Job>> jobs_ ABSL_GUARDED_BY(mu_);
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  // Counts what may give AwaitJob another answer.
  uint64_t changes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace weft

#endif  // WEFT_SERVER_COORDINATOR_FENCER_H_
