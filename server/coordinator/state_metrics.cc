#include "server/coordinator/state_metrics.h"

#include <string>
#include <utility>

#include "absl/synchronization/notification.h"
#include "server/core/pools.h"
#include "server/core/status.h"

namespace weft {
namespace {

constexpr absl::Duration kMaxAge = absl::Seconds(1);

struct Snapshot {
  v1::ClusterStatus status;
  std::vector<std::pair<std::string, v1::Usage>> pools;
};

Snapshot TakeSnapshot(const State& state) {
  Snapshot snapshot;
  snapshot.status = StatusOf(state);
  for (const auto& [id, pool] : state.pools) {
    snapshot.pools.emplace_back(id, UsageOf(state, *pool));
  }
  return snapshot;
}

using Labels = std::vector<prometheus::ClientMetric::Label>;

class Gauges {
 public:
  Gauges(const char* name, const char* help) {
    family_.name = name;
    family_.help = help;
    family_.type = prometheus::MetricType::Gauge;
  }

  Gauges& Add(Labels labels, double value) {
    prometheus::ClientMetric metric;
    metric.label = std::move(labels);
    metric.gauge.value = value;
    family_.metric.push_back(std::move(metric));
    return *this;
  }

  prometheus::MetricFamily Take() { return std::move(family_); }

 private:
  prometheus::MetricFamily family_;
};

prometheus::MetricFamily Gauge(const char* name, const char* help, double value) {
  return Gauges(name, help).Add({}, value).Take();
}

void AppendCluster(const v1::ClusterStatus& status,
                   std::vector<prometheus::MetricFamily>& families) {
  const auto add = [&](const char* name, const char* help, uint64_t value) {
    families.push_back(Gauge(name, help, static_cast<double>(value)));
  };
  add("weft_coordinator_sessions", "Hosts whose session is alive.", status.hosts_alive());
  add("weft_coordinator_hosts", "Hosts that are known.", status.hosts_total());
  add("weft_coordinator_hosts_fencing", "Hosts that a fence agent has to stop.",
      status.hosts_fencing());
  add("weft_coordinator_hosts_uncertain",
      "Silent hosts that may still touch what they held, and nobody is at work on it.",
      status.hosts_uncertain());
  add("weft_coordinator_grants", "Grants that hosts have.", status.grants());
  add("weft_coordinator_scrubs", "Scrubs that are not finished.", status.scrubs_pending());
  add("weft_coordinator_copies", "Segments that are being copied off devices.", status.copies());
  add("weft_coordinator_revision", "The revision of the last change.", status.revision());
}

void AppendPools(const std::vector<std::pair<std::string, v1::Usage>>& pools,
                 std::vector<prometheus::MetricFamily>& families) {
  Gauges bytes("weft_coordinator_pool_bytes", "Bytes of a pool by state.");
  Gauges largest("weft_coordinator_pool_largest_free_bytes", "The longest free extent of a pool.");
  Gauges extents("weft_coordinator_pool_free_extents", "Free extents of a pool.");
  Gauges segments("weft_coordinator_pool_segments", "Segments of a pool.");
  for (const auto& [id, usage] : pools) {
    const auto state = [&, id = id](const char* name, uint64_t value) {
      bytes.Add({{"pool", id}, {"state", name}}, static_cast<double>(value));
    };
    state("free", usage.free_bytes());
    state("used", usage.used_bytes());
    state("scrubbing", usage.scrubbing_bytes());
    state("quarantined", usage.quarantined_bytes());
    largest.Add({{"pool", id}}, static_cast<double>(usage.largest_free_bytes()));
    extents.Add({{"pool", id}}, static_cast<double>(usage.free_extents()));
    segments.Add({{"pool", id}}, static_cast<double>(usage.segments()));
  }
  for (Gauges* gauges : {&bytes, &largest, &extents, &segments}) {
    families.push_back(gauges->Take());
  }
}

}  // namespace

std::vector<prometheus::MetricFamily> StateMetrics::Collect() const {
  absl::MutexLock lock(&mu_);
  const MonotonicTime now = clock_.MonotonicNow();
  if (now - asked_at_ >= kMaxAge) {
    families_ = Ask();
    asked_at_ = now;
  }
  return families_;
}

std::vector<prometheus::MetricFamily> StateMetrics::Ask() const {
  std::vector<prometheus::MetricFamily> families;
  const auto queued = [&](Lane lane) { return static_cast<double>(executor_.Queued(lane)); };
  families.push_back(
      Gauges("weft_coordinator_queued_commands", "Commands that wait for the executor.")
          .Add({{"lane", "renewal"}}, queued(Lane::kRenewal))
          .Add({{"lane", "session"}}, queued(Lane::kSession))
          .Add({{"lane", "request"}}, queued(Lane::kRequest))
          .Take());

  Snapshot snapshot;
  absl::Status status;
  absl::Notification answered;
  Command command;
  command.kind = CommandKind::kLocal;
  command.run = [&](State& state, const Now&, Changes&) {
    snapshot = TakeSnapshot(state);
    return absl::OkStatus();
  };
  command.done = [&](const absl::Status& s) {
    status = s;
    answered.Notify();
  };
  executor_.Submit(Lane::kRequest, std::move(command));
  answered.WaitForNotification();
  families.push_back(
      Gauge("weft_coordinator_serving", "1: the state is loaded and served.", status.ok() ? 1 : 0));
  if (status.ok()) {
    AppendCluster(snapshot.status, families);
    AppendPools(snapshot.pools, families);
  }
  return families;
}

}  // namespace weft
