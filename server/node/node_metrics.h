// What the daemon tells Prometheus. Names are listed in docs/operations.md.

#ifndef WEFT_SERVER_NODE_NODE_METRICS_H_
#define WEFT_SERVER_NODE_NODE_METRICS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "prometheus/collectable.h"
#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "server/platform/clock.h"

namespace weft {

// Thread-safe.
class NodeMetrics final : public prometheus::Collectable {
 public:
  // `clock` outlives it.
  explicit NodeMetrics(const Clock& clock);

  // `operation`: "open", "close", "refresh", "hello"; "connect" of connections that are refused.
  void RecordClientCall(const std::string& operation, const absl::Status& status,
                        absl::Duration latency);
  void CountRevoke() { revokes_.Increment(); }
  void CountRenewal() { renewals_.Increment(); }
  void CountExpiry() { expiries_.Increment(); }
  void CountMemoryFailure() { memory_failures_.Increment(); }
  void CountScrubbed(uint64_t bytes) { scrubbed_bytes_.Increment(static_cast<double>(bytes)); }
  void CountCopied(uint64_t bytes) { copied_bytes_.Increment(static_cast<double>(bytes)); }
  void SetGrants(size_t grants, size_t handles);
  void SetClients(size_t clients) { clients_.Set(static_cast<double>(clients)); }
  void SetDevices(size_t devices) { devices_.Set(static_cast<double>(devices)); }
  void SetLeaseDeadline(BootTime deadline) { lease_deadline_ = deadline; }

  // For the exposer.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const Clock& clock_;
  const std::unique_ptr<prometheus::Registry> registry_;
  prometheus::Family<prometheus::Histogram>& calls_;
  prometheus::Counter& revokes_;
  prometheus::Counter& renewals_;
  prometheus::Counter& expiries_;
  prometheus::Counter& memory_failures_;
  prometheus::Counter& scrubbed_bytes_;
  prometheus::Counter& copied_bytes_;
  prometheus::Gauge& grants_;
  prometheus::Gauge& handles_;
  prometheus::Gauge& clients_;
  prometheus::Gauge& devices_;
  prometheus::Gauge& lease_left_;
  std::atomic<BootTime> lease_deadline_ = BootTime::InfinitePast();
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_NODE_METRICS_H_
