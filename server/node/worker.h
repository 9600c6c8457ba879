// Does what WorkTable says: scrubs, copies, steps of exchanges, labels.

#ifndef WEFT_SERVER_NODE_WORKER_H_
#define WEFT_SERVER_NODE_WORKER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "proto/weft/v1/session.pb.h"
#include "server/node/device_catalog.h"
#include "server/node/executor.h"
#include "server/node/node_metrics.h"
#include "server/node/scrubber.h"
#include "server/node/work_table.h"
#include "server/platform/clock.h"

namespace weft {

// All outlive the worker; none of the executors runs anything when it is destroyed.
struct WorkerDeps {
  // Where the worker lives.
  Executor& executor;
  // Where devices are touched.
  Executor& blocking;
  Clock& clock;
  DeviceCatalog& catalog;
  NodeMetrics& metrics;
};

class Worker {
 public:
  using SendFn = std::function<void(v1::NodeMessage)>;

  // `send` reports to the coordinator; what is lost is said again by RepeatReports.
  // `on_label_written`: a device's entry in the inventory has changed.
  Worker(const WorkerDeps& deps, SendFn send, std::function<void()> on_label_written)
      : deps_(deps), send_(std::move(send)), on_label_written_(std::move(on_label_written)) {}

  // To be called first.
  void SetScrubber(Scrubber& scrubber) { scrubber_ = &scrubber; }

  void Apply(const v1::Assignments& assignments);
  void RepeatReports();
  // Forgets all work; nothing of it is written once the blocking executor has come to what
  // is posted there after this.
  void StopAll();
  // Those that it is to do, copies too, by id.
  std::vector<uint64_t> scrubs() const { return table_.Scrubs(); }
  // For Scrubber: any thread.
  void OnScrubReport(const ScrubReport& report);

 private:
  // The part of a scrub, or of a copy, that is with the Scrubber.
  struct FillRun {
    v1::Assignment work;
    int extent = 0;
    // Of the whole task, before this job.
    uint64_t done_before = 0;
    uint64_t reported = 0;
    // Of this job, as far as counted.
    uint64_t counted = 0;
  };

  void Start(const v1::Assignment& work);
  void Stop(const v1::Assignment& work);
  void Report(const v1::Assignment& work, const v1::NodeMessage& report);
  void RunExchange(const v1::Assignment& work);
  void WriteLabel(const v1::Assignment& work);
  // The label could not be reached (UNAVAILABLE), which says nothing of the device.
  void RetryLabel(const v1::Assignment& work);
  // Zeroes, or copies, on from `done_bytes` of the task.
  void Fill(const v1::Assignment& work, uint64_t done_bytes);
  void Submit(uint64_t job_id, const FillRun& run, uint64_t offset_bytes, uint64_t length_bytes);
  void TakeScrubReport(const ScrubReport& report);
  void RetryFill(const v1::Assignment& work, uint64_t done_bytes, const absl::Status& why);
  void ReportFill(const v1::Assignment& work, uint64_t done_bytes, const std::string& error = "");

  const WorkerDeps deps_;
  const SendFn send_;
  const std::function<void()> on_label_written_;
  Scrubber* scrubber_ = nullptr;
  WorkTable table_;
  uint64_t last_job_ = 0;
  // By the Scrubber's job ids.
  std::map<uint64_t, FillRun> fills_;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_WORKER_H_
