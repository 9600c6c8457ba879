// The coordinator, put together.

#ifndef WEFT_SERVER_COORDINATOR_COORDINATOR_H_
#define WEFT_SERVER_COORDINATOR_COORDINATOR_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "prometheus/exposer.h"
#include "server/coordinator/command_runner.h"
#include "server/coordinator/executor.h"
#include "server/coordinator/fence_agents.h"
#include "server/coordinator/fencer.h"
#include "server/coordinator/metrics.h"
#include "server/core/state.h"
#include "server/platform/clock.h"
#include "server/platform/program.h"
#include "server/platform/random.h"
#include "server/rpc/api_server.h"
#include "server/store/leadership.h"

namespace weft {

struct CoordinatorOptions {
  CoreOptions core;  // `random_uuid` is set by Start
  ServerOptions server;
  ExecutorOptions executor;
  // `host:port` for Prometheus (port 0: any that is free); empty: nowhere.
  std::string metrics_address;
  FenceAgents fence_agents;
  // Called once, when calls are answered: by this coordinator, or with who leads instead.
  std::function<void()> on_ready = [] {};
};

class Coordinator final : private RunnerObserver, private LeadershipObserver {
 public:
  // Listens; answers begin with Run. All arguments by reference outlive the coordinator.
  //   Errors of StartServer; FAILED_PRECONDITION: the metrics address is in use.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Start(const CoordinatorOptions& options,
                                                            Leadership& leadership, Clock& clock,
                                                            Random& random,
                                                            ProgramRunner& programs);

  // REQUIRES: Run has returned, or was never called.
  ~Coordinator() override;

  // Serves while this process leads, and says who does otherwise, until Stop; OK then. Any
  // other status: this process must end. To be called once, on a thread of the caller's.
  //   FAILED_PRECONDITION STORE_IN_USE: the store has another owner for good.
  //   FAILED_PRECONDITION VERSION_TOO_NEW, DATA_LOSS STORE_DAMAGED: it cannot be loaded.
  absl::Status Run();
  // Runs fence agents until Stop: for `fencer().concurrency()` threads of the caller's.
  Fencer& fencer() { return fencer_; }
  // Makes Run return, once the leadership has been stopped too. Thread-safe, idempotent.
  void Stop() {
    executor_.Stop();
    fencer_.Stop();
  }

  // With the ports that were bound.
  const std::vector<std::string>& addresses() const { return api_->addresses(); }
  // Empty: none.
  const std::string& metrics_address() const { return metrics_address_; }

 private:
  Coordinator(const CoordinatorOptions& options, Leadership& leadership, Clock& clock,
              Random& random, ProgramRunner& programs);

  void ReportFence(const FenceOrder& order, const std::string& failure, Command::Done done);
  absl::Status StartMetrics(const std::string& address);
  // Serves the state of `store` until the term is over (OK), or Stop.
  absl::Status RunTerm(Store& store);
  // Calls on_ready, the first time.
  void Ready();

  void OnLoaded(const State& state) override;
  void OnUnloaded(const absl::Status& cause) override;
  void OnLoadedAgain(const State& state, const absl::Status& cause) override;
  void OnCommitted(const State& state, const Changes& changes, uint64_t revision) override;
  void OnRound(size_t commands) override { metrics_.RecordRound(commands); }
  void OnCommit(const absl::Status& status, absl::Duration latency) override;
  void OnFollowing(const std::string& address) override;
  void OnTermOver() override;

  Leadership& leadership_;
  Clock& clock_;
  const std::function<void()> on_ready_;
  std::atomic<bool> ready_ = false;
  CoordinatorMetrics metrics_;
  CommandRunner runner_;
  CommandExecutor executor_;
  Fencer fencer_;
  std::string metrics_address_;
  std::shared_ptr<prometheus::Collectable> state_metrics_;
  std::unique_ptr<ApiServer> api_;
  std::unique_ptr<prometheus::Exposer> exposer_;  // destroyed first
};

}  // namespace weft

#endif  // WEFT_SERVER_COORDINATOR_COORDINATOR_H_
