#include "server/coordinator/metrics.h"

#include <string>

#include "server/rpc/status.h"

namespace weft {
namespace {

const prometheus::Histogram::BucketBoundaries kSeconds = {
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5};
const prometheus::Histogram::BucketBoundaries kCommands = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512};

prometheus::Family<prometheus::Histogram>& Histograms(prometheus::Registry& registry,
                                                      const char* name, const char* help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

prometheus::Counter& CounterOf(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
}

}  // namespace

CoordinatorMetrics::CoordinatorMetrics()
    : registry_(std::make_shared<prometheus::Registry>()),
      operations_(Histograms(*registry_, "weft_coordinator_operation_seconds",
                             "Time from receiving a request to answering it.")),
      commits_(Histograms(*registry_, "weft_coordinator_store_commit_seconds",
                          "Time that the store took to commit a transaction.")),
      round_commands_(Histograms(*registry_, "weft_coordinator_round_commands",
                                 "Commands that the executor ran in one round.")
                          .Add({}, kCommands)),
      renewals_(CounterOf(*registry_, "weft_coordinator_renewals_total",
                          "Renewals of sessions that were acknowledged.")),
      expiries_(CounterOf(*registry_, "weft_coordinator_session_expiries_total",
                          "Sessions that ended because no renewal came.")),
      loads_(CounterOf(*registry_, "weft_coordinator_state_loads_total",
                       "Times that the state was loaded from the store.")) {}

void CoordinatorMetrics::RecordCall(std::string_view method, const absl::Status& status,
                                    absl::Duration latency) {
  operations_.Add({{"method", std::string(method)}, {"result", ResultName(status)}}, kSeconds)
      .Observe(absl::ToDoubleSeconds(latency));
  if (method == "Renew" && status.ok()) renewals_.Increment();
}

void CoordinatorMetrics::RecordRound(size_t commands) {
  if (commands > 0) round_commands_.Observe(static_cast<double>(commands));
}

void CoordinatorMetrics::RecordCommit(const absl::Status& status, absl::Duration latency) {
  commits_.Add({{"result", ResultName(status)}}, kSeconds).Observe(absl::ToDoubleSeconds(latency));
}

void CoordinatorMetrics::RecordLoad() { loads_.Increment(); }

void CoordinatorMetrics::RecordChanges(const Changes& changes) {
  for (const v1::Event& event : changes.events) {
    if (event.type() == v1::HOST_EXPIRED) expiries_.Increment();
  }
}

}  // namespace weft
