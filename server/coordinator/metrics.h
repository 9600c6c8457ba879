// What the coordinator tells Prometheus.

#ifndef WEFT_SERVER_COORDINATOR_METRICS_H_
#define WEFT_SERVER_COORDINATOR_METRICS_H_

#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "prometheus/counter.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "server/core/changes.h"
#include "server/rpc/calls.h"

namespace weft {

// Counts and times what happens. Thread-safe.
class CoordinatorMetrics final : public CallRecorder {
 public:
  CoordinatorMetrics();

  void RecordCall(std::string_view method, const absl::Status& status,
                  absl::Duration latency) override;
  void RecordRound(size_t commands);
  void RecordCommit(const absl::Status& status, absl::Duration latency);
  void RecordLoad();
  void RecordChanges(const Changes& changes);

  // For the exposer.
  std::shared_ptr<prometheus::Registry> registry() const { return registry_; }

 private:
  const std::shared_ptr<prometheus::Registry> registry_;
  prometheus::Family<prometheus::Histogram>& operations_;
  prometheus::Family<prometheus::Histogram>& commits_;
  prometheus::Histogram& round_commands_;
  prometheus::Counter& renewals_;
  prometheus::Counter& expiries_;
  prometheus::Counter& loads_;
};

}  // namespace weft

#endif  // WEFT_SERVER_COORDINATOR_METRICS_H_
