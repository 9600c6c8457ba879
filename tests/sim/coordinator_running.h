// A coordinator's process, for the files of CoordinatorSim.

#ifndef WEFT_TESTS_SIM_COORDINATOR_RUNNING_H_
#define WEFT_TESTS_SIM_COORDINATOR_RUNNING_H_

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/coordinator/command_runner.h"
#include "server/coordinator/executor.h"
#include "server/coordinator/fencer.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/core/fencing.h"
#include "server/rpc/session_registry.h"
#include "server/rpc/status.h"
#include "tests/sim/coordinator_sim.h"

namespace weft::sim {

// What a client is told of `status` at the other end of gRPC.
inline absl::Status OverGrpc(const absl::Status& status) {
  return FromGrpcStatus(ToGrpcStatus(status));
}

inline absl::Status NobodyListens() {
  return MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE, "connection refused");
}

class NoRecorder final : public CallRecorder {
 public:
  void RecordCall(std::string_view, const absl::Status&, absl::Duration) override {}
};

// SimAgents plays the programs.
class NoPrograms final : public ProgramRunner {
 public:
  absl::StatusOr<std::unique_ptr<Program>> Start(const ProgramSpec&) override {
    WEFT_CHECK(false, "a simulated process starts a program");
    return absl::InternalError("");
  }
};

// The process: gone with all it knows when it is killed.
struct CoordinatorSim::Running final : public RunnerObserver {
  Running(CoordinatorSim& machine_in, CoreOptions options)
      : machine(machine_in),
        process(machine.world_.loop),
        store(machine.world_, machine.disk_),
        runner(machine.clock_, std::move(options), *this),
        executor(runner, machine.clock_),
        fencer(machine.agents_.agents(), no_programs, machine.clock_,
               [this](const FenceOrder& order, const std::string& failure, Command::Done done) {
                 ReportFence(order, failure, std::move(done));
               }) {
    runner.BeginTerm(store);
  }

  // Breaks the connections of the sessions, in their order.
  ~Running() override;

  // Says something: when all that was committed until now is durable.
  void Say(Loop::Task task, bool too_early = false) {
    process.At(too_early ? machine.world_.loop.now() : machine.disk_.synced_at(), std::move(task));
  }

  // Has a round run soon: not before the last one's commit is over.
  void Wake(absl::Duration when) {
    when = std::max({when, machine.disk_.synced_at(), machine.world_.loop.now()});
    if (when >= next_round) return;
    next_round = when;
    process.At(when, [this, when] {
      if (when == next_round) Round();
    });
  }
  void WakeSoon() {
    Wake(machine.world_.loop.now() +
         machine.world_.rng.Between(absl::ZeroDuration(), absl::Milliseconds(1)));
  }

  void Round() {
    next_round = absl::InfiniteDuration();
    executor.RunRound();
    if (!runner.deposed().ok()) {
      machine.world_.Log(machine.name_, ": deposed");
      machine.world_.Probe("coordinator deposed");
      process.At(machine.world_.loop.now(), [this] { machine.Kill(); });
      return;
    }
    const MonotonicTime due = runner.NextDue();
    if (due == MonotonicTime::InfiniteFuture()) return;
    Wake(machine.world_.bugs.due_at_once ? machine.world_.loop.now()
                                         : machine.clock_.ToLoop(BootTime(due.since_start())));
  }

  void Submit(Lane lane, Command command) {
    executor.Submit(lane, std::move(command));
    WakeSoon();
  }

  void OnLoaded(const State& state) override {
    machine.world_.Log(machine.name_, ": loaded revision ", state.cluster.revision());
    loaded = &state;
    registry.EndAll(MakeError(absl::StatusCode::kUnavailable, v1::UNREACHABLE,
                              "the coordinator has loaded its state; register again"));
    const std::vector<FenceOrder> orders = FenceOrders(state);
    if (!orders.empty()) machine.world_.Probe("fencing goes on after a failover");
    fencer.Reset(orders);
    RunAgents();
  }
  void OnUnloaded(const absl::Status& cause) override {
    loaded = nullptr;
    machine.world_.Log(machine.name_, ": state dropped: ", std::string(cause.message()));
    fencer.Reset({});
  }
  void OnLoadedAgain(const State& state, const absl::Status& cause) override {
    loaded = &state;
    machine.world_.Log(machine.name_, ": loaded again: ", std::string(cause.message()));
    machine.world_.Probe("loaded again, sessions go on");
    registry.Resend(state);
  }
  void OnCommitted(const State& state, const Changes& changes, uint64_t revision) override {
    registry.Deliver(state, changes, revision);
    if (changes.fences.empty()) return;
    fencer.Apply(changes.fences);
    RunAgents();
  }

  // As Coordinator does.
  void ReportFence(const FenceOrder& order, const std::string& failure, Command::Done done) {
    Command command;
    command.run = [order, failure](State& state, const Now& now, Changes& changes) {
      TakeFenceResult(state, Context{now, /*principal=*/"", /*host=*/""}, order, failure, changes);
      return absl::OkStatus();
    };
    command.done = [this, done = std::move(done)](const absl::Status& status) mutable {
      done(status);
      RunAgents();
    };
    Submit(Lane::kSession, std::move(command));
  }

  // What the threads in Fencer::Run do.
  void RunAgents() {
    BootTime next;
    while (const std::shared_ptr<Fencer::Job> job = fencer.TakeJob(next)) {
      machine.agents_.Run(process, job->order.host,
                          [this, job](const std::string& failure) { fencer.Finish(job, failure); });
    }
    if (next == BootTime::InfiniteFuture()) return;
    process.At(machine.clock_.ToLoop(next), [this] { RunAgents(); });
  }

  CoordinatorSim& machine;
  Process process;
  SimStore store;
  CommandRunner runner;
  CommandExecutor executor;
  NoPrograms no_programs;
  Fencer fencer;
  NoRecorder recorder;
  SessionRegistry registry;
  const State* loaded = nullptr;
  // Of all sessions that began, in their order.
  std::vector<std::shared_ptr<Conversation>> conversations;
  absl::Duration next_round = absl::InfiniteDuration();
};

}  // namespace weft::sim

#endif  // WEFT_TESTS_SIM_COORDINATOR_RUNNING_H_
