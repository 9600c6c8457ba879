#include "server/node/node_metrics.h"

#include <algorithm>

#include "server/rpc/status.h"

namespace weft {
namespace {

const prometheus::Histogram::BucketBoundaries kLatencyBuckets = {
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5};

prometheus::Counter& Counter(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
}

prometheus::Gauge& Gauge(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

}  // namespace

NodeMetrics::NodeMetrics(const Clock& clock)
    : clock_(clock),
      registry_(std::make_unique<prometheus::Registry>()),
      calls_(prometheus::BuildHistogram()
                 .Name("weft_node_client_call_duration_seconds")
                 .Help("Requests of local clients on the fd socket, by operation and result")
                 .Register(*registry_)),
      revokes_(Counter(*registry_, "weft_node_revokes_total",
                       "Handles whose clients were told to let go")),
      renewals_(Counter(*registry_, "weft_node_renewals_total",
                        "Renewals of the lease that the coordinator confirmed")),
      expiries_(Counter(*registry_, "weft_node_lease_expiries_total", "Leases that ran out")),
      memory_failures_(Counter(*registry_, "weft_node_memory_failures_total",
                               "Ranges of fabric memory that the kernel found bad")),
      scrubbed_bytes_(Counter(*registry_, "weft_node_scrubbed_bytes_total", "Bytes zeroed")),
      copied_bytes_(Counter(*registry_, "weft_node_copied_bytes_total",
                            "Bytes copied from one device to another")),
      grants_(Gauge(*registry_, "weft_node_grants", "Grants that this host holds")),
      handles_(Gauge(*registry_, "weft_node_handles_open", "Handles that clients have open")),
      clients_(Gauge(*registry_, "weft_node_clients", "Programs that use the fd socket")),
      devices_(Gauge(*registry_, "weft_node_devices", "Devices that this host can use")),
      lease_left_(Gauge(*registry_, "weft_node_lease_seconds_left",
                        "Until the daemon lets go of everything; negative: it has")) {}

void NodeMetrics::RecordClientCall(const std::string& operation, const absl::Status& status,
                                   absl::Duration latency) {
  calls_.Add({{"operation", operation}, {"result", ResultName(status)}}, kLatencyBuckets)
      .Observe(absl::ToDoubleSeconds(latency));
}

void NodeMetrics::SetGrants(size_t grants, size_t handles) {
  grants_.Set(static_cast<double>(grants));
  handles_.Set(static_cast<double>(handles));
}

std::vector<prometheus::MetricFamily> NodeMetrics::Collect() const {
  const absl::Duration left = lease_deadline_.load() - clock_.BootNow();
  // Without any lease: as long ago as makes no difference.
  lease_left_.Set(std::max(-3600.0, absl::ToDoubleSeconds(left)));
  return registry_->Collect();
}

}  // namespace weft
