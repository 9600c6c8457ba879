#include "server/coordinator/coordinator.h"

#include <spdlog/spdlog.h>

#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/coordinator/state_metrics.h"
#include "server/core/errors.h"
#include "server/core/fencing.h"
#include "server/rpc/status.h"

namespace weft {
namespace {

CoreOptions ToCore(const CoordinatorOptions& options, Random& random) {
  CoreOptions core = options.core;
  core.random_uuid = [&random] { return NewUuid(random); };
  core.has_fence_agent = [agents = options.fence_agents](const std::string& host) {
    return agents.contains(host);
  };
  return core;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Start(const CoordinatorOptions& options,
                                                                Leadership& leadership,
                                                                Clock& clock, Random& random,
                                                                ProgramRunner& programs) {
  std::unique_ptr<Coordinator> coordinator(
      new Coordinator(options, leadership, clock, random, programs));
  absl::StatusOr<std::unique_ptr<ApiServer>> api =
      ApiServer::Start(options.server, {coordinator->executor_, clock, coordinator->metrics_});
  if (!api.ok()) return api.status();
  coordinator->api_ = *std::move(api);
  if (absl::Status status = coordinator->StartMetrics(options.metrics_address); !status.ok()) {
    return status;
  }
  return coordinator;
}

Coordinator::Coordinator(const CoordinatorOptions& options, Leadership& leadership, Clock& clock,
                         Random& random, ProgramRunner& programs)
    : leadership_(leadership),
      clock_(clock),
      on_ready_(options.on_ready),
      runner_(clock, ToCore(options, random), *this),
      executor_(runner_, clock, options.executor),
      fencer_(options.fence_agents, programs, clock,
              [this](const FenceOrder& order, const std::string& failure, Command::Done done) {
                ReportFence(order, failure, std::move(done));
              }) {}

// Calls that came since Run returned, or without it, are refused, so that they can end.
Coordinator::~Coordinator() {
  executor_.Stop();
  executor_.Run().IgnoreError();
}

absl::Status Coordinator::Run() {
  for (;;) {
    const absl::StatusOr<Store*> store = leadership_.AwaitTerm(*this);
    if (absl::IsCancelled(store.status())) return absl::OkStatus();
    if (!store.ok()) return store.status();
    if (absl::Status status = RunTerm(**store); !status.ok()) return status;
    if (executor_.stopping()) return absl::OkStatus();
    runner_.EndTerm();
    api_->OnDeposed();
  }
}

absl::Status Coordinator::RunTerm(Store& store) {
  runner_.BeginTerm(store);
  const absl::Status loaded = runner_.Load();
  const bool passes = absl::IsUnavailable(loaded) || absl::IsResourceExhausted(loaded);
  if (!loaded.ok() && runner_.deposed().ok() && !passes) return loaded;
  if (!loaded.ok()) OnUnloaded(loaded);
  executor_.Accept();
  executor_.Run().IgnoreError();
  return absl::OkStatus();
}

void Coordinator::Ready() {
  if (!ready_.exchange(true)) on_ready_();
}

void Coordinator::OnFollowing(const std::string& address) {
  executor_.Refuse(NotLeader(address));
  if (!address.empty()) Ready();
}

void Coordinator::OnTermOver() { executor_.Refuse(NotLeader("")); }

absl::Status Coordinator::StartMetrics(const std::string& address) {
  if (address.empty()) return absl::OkStatus();
  try {
    exposer_ = std::make_unique<prometheus::Exposer>(address);
  } catch (const std::exception& error) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot serve metrics on ", address, ": ", error.what(),
                     " (is the address in use? --metrics-address=none turns them off)"));
  }
  state_metrics_ = std::make_shared<StateMetrics>(executor_, clock_);
  exposer_->RegisterCollectable(metrics_.registry());
  exposer_->RegisterCollectable(state_metrics_);
  metrics_address_ = absl::StrCat(address.substr(0, address.rfind(':')), ":",
                                  exposer_->GetListeningPorts().front());
  return absl::OkStatus();
}

void Coordinator::OnLoaded(const State& state) {
  metrics_.RecordLoad();
  spdlog::info("state_loaded revision={} pools={} segments={} hosts={} grants={}",
               state.cluster.revision(), state.pools.size(), state.segments.size(),
               state.hosts.size(), state.grants.size());
  api_->OnLoaded(state);
  fencer_.Reset(FenceOrders(state));
  Ready();
}

void Coordinator::OnUnloaded(const absl::Status& cause) {
  spdlog::error("state_dropped reason={} cause=\"{}\"", ResultName(cause),
                std::string(cause.message()));
  api_->OnUnloaded();
  // Another coordinator may lead by now: it runs the agents.
  fencer_.Reset({});
}

void Coordinator::OnLoadedAgain(const State& state, const absl::Status& cause) {
  metrics_.RecordLoad();
  spdlog::error("state_loaded_again revision={} reason={} cause=\"{}\"", state.cluster.revision(),
                ResultName(cause), std::string(cause.message()));
  api_->OnLoadedAgain(state);
}

void Coordinator::OnCommitted(const State& state, const Changes& changes, uint64_t revision) {
  metrics_.RecordChanges(changes);
  api_->OnCommitted(state, changes, revision);
  fencer_.Apply(changes.fences);
}

void Coordinator::ReportFence(const FenceOrder& order, const std::string& failure,
                              Command::Done done) {
  Command command;
  command.run = [order, failure](State& state, const Now& now, Changes& changes) {
    TakeFenceResult(state, Context{now, /*principal=*/"", /*host=*/""}, order, failure, changes);
    return absl::OkStatus();
  };
  command.done = std::move(done);
  executor_.Submit(Lane::kSession, std::move(command));
}

void Coordinator::OnCommit(const absl::Status& status, absl::Duration latency) {
  metrics_.RecordCommit(status, latency);
}

}  // namespace weft
