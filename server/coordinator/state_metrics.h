// The state itself in numbers, for Prometheus.

#ifndef WEFT_SERVER_COORDINATOR_STATE_METRICS_H_
#define WEFT_SERVER_COORDINATOR_STATE_METRICS_H_

#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "prometheus/collectable.h"
#include "prometheus/metric_family.h"
#include "server/coordinator/executor.h"
#include "server/platform/clock.h"

namespace weft {

// Asks the executor for the numbers when they are scraped, but at most once a second: a
// scrape costs the executor O(pools and their devices). Thread-safe; blocks until the
// executor has answered.
class StateMetrics final : public prometheus::Collectable {
 public:
  StateMetrics(CommandExecutor& executor, const Clock& clock)
      : executor_(executor), clock_(clock) {}

  std::vector<prometheus::MetricFamily> Collect() const override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  std::vector<prometheus::MetricFamily> Ask() const;

  CommandExecutor& executor_;
  const Clock& clock_;
  // Held while asking: scrapes that come together ask once.
  mutable absl::Mutex mu_;
  mutable std::vector<prometheus::MetricFamily> families_ ABSL_GUARDED_BY(mu_);
  mutable MonotonicTime asked_at_ ABSL_GUARDED_BY(mu_) = MonotonicTime::InfinitePast();
};

}  // namespace weft

#endif  // WEFT_SERVER_COORDINATOR_STATE_METRICS_H_
