#include "server/node/worker.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "server/core/names.h"
#include "server/core/token_proto.h"
#include "server/node/exchange.h"

namespace weft {
namespace {

// Between two reports of a scrub or a copy that goes on.
constexpr uint64_t kReportBytes = uint64_t{64} << 20;
constexpr absl::Duration kFillRetry = absl::Seconds(10);
// Between two attempts to reach a label that the dead-man took: until the lease is extended.
constexpr absl::Duration kLabelRetry = absl::Milliseconds(500);

std::string Text(const absl::Status& status) { return std::string(status.message()); }

absl::StatusOr<KnownDevice> FindDevice(const DeviceCatalog& catalog, const std::string& name) {
  const absl::StatusOr<DeviceId> id = ParseDeviceName(name);
  if (!id.ok()) return id.status();
  return catalog.Find(*id);
}

// What the slot holds after the step; empty: nothing valid.
absl::StatusOr<std::string> DoExchange(const DeviceCatalog& catalog, const v1::ExchangeTask& task) {
  const absl::StatusOr<KnownDevice> known = FindDevice(catalog, task.device());
  if (!known.ok()) return known.status();
  if (!task.nonce().empty()) {
    ExchangeEntry entry;
    if (task.nonce().size() != entry.nonce.size()) {
      return absl::InvalidArgumentError("a nonce has 16 bytes");
    }
    std::copy(task.nonce().begin(), task.nonce().end(), entry.nonce.begin());
    entry.sequence = task.step_id();
    const absl::Status written = WriteExchange(*known->device, task.slot(), entry);
    if (!written.ok()) return written;
  }
  const absl::StatusOr<ExchangeReading> reading = ReadExchange(*known->device, task.slot());
  if (!reading.ok()) return reading.status();
  if (!reading->first || reading->first != reading->last) return std::string();
  return std::string(reading->first->nonce.begin(), reading->first->nonce.end());
}

// What scrubs and copies have in common: extents to be filled in order.
uint64_t IdOf(const v1::Assignment& work) {
  return work.has_copy() ? work.copy().id() : work.scrub().scrub_id();
}

const google::protobuf::RepeatedPtrField<v1::Extent>& ExtentsOf(const v1::Assignment& work) {
  return work.has_copy() ? work.copy().to() : work.scrub().extents();
}

const v1::Token& TokenOf(const v1::Assignment& work) {
  return work.has_copy() ? work.copy().token() : work.scrub().token();
}

// What fills the extents from `done_bytes` of the task on.
absl::StatusOr<ScrubSource> SourceOf(const DeviceCatalog& catalog, const v1::Assignment& work,
                                     uint64_t done_bytes) {
  if (!work.has_copy()) return ScrubSource();
  const absl::StatusOr<KnownDevice> known = FindDevice(catalog, work.copy().from().device());
  if (!known.ok()) return known.status();
  return ScrubSource{known->device, ByteOffset(work.copy().from().offset_bytes() + done_bytes),
                     SegmentId(work.copy().segment_id())};
}

absl::Status SetLabel(DeviceCatalog& catalog, const v1::LabelTask& task) {
  const absl::StatusOr<DeviceId> id = ParseDeviceName(task.device());
  if (!id.ok()) return id.status();
  const absl::StatusOr<Uuid> pool = Uuid::Parse(task.pool_uuid());
  if (!pool.ok()) return pool.status();
  return catalog.SetPool(*id, *pool);
}

}  // namespace

void Worker::Apply(const v1::Assignments& assignments) {
  const WorkTable::Changes changes = table_.Apply(assignments);
  for (const v1::Assignment& work : changes.stop) Stop(work);
  for (const v1::Assignment& work : changes.start) Start(work);
}

void Worker::RepeatReports() {
  for (v1::NodeMessage& report : table_.Reports()) send_(std::move(report));
}

void Worker::StopAll() {
  v1::Assignments none;
  none.set_whole(true);
  Apply(none);
}

void Worker::Report(const v1::Assignment& work, const v1::NodeMessage& report) {
  if (table_.Report(work, report)) send_(report);
}

void Worker::Start(const v1::Assignment& work) {
  if (work.has_exchange()) {
    RunExchange(work);
  } else if (work.has_label()) {
    WriteLabel(work);
  } else {
    Fill(work, work.has_copy() ? work.copy().done_bytes() : work.scrub().done_bytes());
  }
}

void Worker::Stop(const v1::Assignment& work) {
  if (!work.has_scrub() && !work.has_copy()) return;
  for (auto it = fills_.begin(); it != fills_.end();) {
    if (it->second.work.key() == work.key()) {
      // Waits for the piece under way: not here.
      deps_.blocking.Post([this, job = it->first] { scrubber_->Cancel(job); });
      it = fills_.erase(it);
    } else {
      ++it;
    }
  }
}

void Worker::RunExchange(const v1::Assignment& work) {
  deps_.blocking.Post([this, work] {
    absl::StatusOr<std::string> nonce = DoExchange(deps_.catalog, work.exchange());
    deps_.executor.Post([this, work, nonce = std::move(nonce)] {
      if (absl::IsUnavailable(nonce.status())) {
        RetryLabel(work);
        return;
      }
      v1::NodeMessage report;
      v1::ExchangeResult& result = *report.mutable_exchange_result();
      result.set_device(work.exchange().device());
      result.set_slot(work.exchange().slot());
      result.set_step_id(work.exchange().step_id());
      if (nonce.ok()) {
        result.set_nonce(*nonce);
      } else {
        result.set_error(Text(nonce.status()));
      }
      Report(work, report);
    });
  });
}

void Worker::WriteLabel(const v1::Assignment& work) {
  deps_.blocking.Post([this, work] {
    const absl::Status status = SetLabel(deps_.catalog, work.label());
    deps_.executor.Post([this, work, status] {
      if (absl::IsUnavailable(status)) {
        RetryLabel(work);
        return;
      }
      v1::NodeMessage report;
      if (status.ok()) {
        report.mutable_label_written()->set_device(work.label().device());
        report.mutable_label_written()->set_pool_uuid(work.label().pool_uuid());
      } else {
        spdlog::error("label_failed device={} error=\"{}\"", work.label().device(), Text(status));
        report.mutable_device_refused()->set_device(work.label().device());
        report.mutable_device_refused()->set_reason(Text(status));
      }
      Report(work, report);
      on_label_written_();
    });
  });
}

void Worker::RetryLabel(const v1::Assignment& work) {
  deps_.executor.PostAt(deps_.clock.BootNow() + kLabelRetry, [this, work] {
    if (table_.IsWanted(work)) Start(work);
  });
}

void Worker::Fill(const v1::Assignment& work, uint64_t done_bytes) {
  if (!table_.IsWanted(work)) return;
  uint64_t position = 0;
  for (int i = 0; i < ExtentsOf(work).size(); ++i) {
    const v1::Extent& extent = ExtentsOf(work)[i];
    const uint64_t end = position + extent.length_bytes();
    if (done_bytes < end) {
      const uint64_t skipped = done_bytes - position;
      FillRun run;
      run.work = work;
      run.extent = i;
      run.done_before = done_bytes;
      run.reported = done_bytes;
      const uint64_t job = ++last_job_;
      fills_[job] = run;
      Submit(job, run, extent.offset_bytes() + skipped, extent.length_bytes() - skipped);
      return;
    }
    position = end;
  }
  ReportFill(work, done_bytes);  // which an earlier daemon had no time to say
}

void Worker::Submit(uint64_t job_id, const FillRun& run, uint64_t offset_bytes,
                    uint64_t length_bytes) {
  const std::string& name = ExtentsOf(run.work)[run.extent].device();
  deps_.blocking.Post(
      [this, job_id, name, offset_bytes, length_bytes, work = run.work, done = run.done_before] {
        const absl::StatusOr<KnownDevice> known = FindDevice(deps_.catalog, name);
        absl::StatusOr<ScrubSource> source = SourceOf(deps_.catalog, work, done);
        absl::Status status = known.ok() ? source.status() : known.status();
        if (status.ok()) {
          status = scrubber_->Submit({job_id, known->device, ByteOffset(offset_bytes),
                                      ByteCount(length_bytes), FromProto(TokenOf(work)),
                                      *std::move(source)});
        }
        if (status.ok()) return;
        deps_.executor.Post([this, job_id, work, done, status] {
          fills_.erase(job_id);
          RetryFill(work, done, status);
        });
      });
}

void Worker::OnScrubReport(const ScrubReport& report) {
  // Behind what is being read of the devices: bad memory that was read before it was zeroed
  // is told before the zeroing is.
  deps_.blocking.Post(
      [this, report] { deps_.executor.Post([this, report] { TakeScrubReport(report); }); });
}

void Worker::TakeScrubReport(const ScrubReport& report) {
  const auto it = fills_.find(report.job);
  if (it == fills_.end()) return;  // stopped
  FillRun& run = it->second;
  const uint64_t news = report.done.value() - run.counted;
  if (run.work.has_copy()) {
    deps_.metrics.CountCopied(news);
  } else {
    deps_.metrics.CountScrubbed(news);
  }
  run.counted = report.done.value();
  const uint64_t done = run.done_before + report.done.value();
  if (report.over || done - run.reported >= kReportBytes) {
    run.reported = done;
    ReportFill(run.work, done);
  }
  if (!report.over) return;
  const v1::Assignment work = std::move(run.work);
  const bool last = run.extent + 1 == ExtentsOf(work).size();
  fills_.erase(it);
  if (!report.status.ok()) {
    RetryFill(work, done, report.status);
  } else if (!last) {
    Fill(work, done);
  }
}

void Worker::RetryFill(const v1::Assignment& work, uint64_t done_bytes, const absl::Status& why) {
  const char* const kind = work.has_copy() ? "copy" : "scrub";
  if (work.has_copy() && absl::IsDataLoss(why)) {
    spdlog::error("{}_failed id={} done_bytes={} error=\"{}\"", kind, IdOf(work), done_bytes,
                  Text(why));
    ReportFill(work, done_bytes, Text(why));
    return;
  }
  spdlog::error("{}_failed id={} done_bytes={} error=\"{}\" retry_in={}", kind, IdOf(work),
                done_bytes, Text(why), absl::FormatDuration(kFillRetry));
  deps_.executor.PostAt(deps_.clock.BootNow() + kFillRetry,
                        [this, work, done_bytes] { Fill(work, done_bytes); });
}

void Worker::ReportFill(const v1::Assignment& work, uint64_t done_bytes, const std::string& error) {
  v1::NodeMessage report;
  if (work.has_copy()) {
    v1::CopyProgress& progress = *report.mutable_copy_progress();
    progress.set_id(work.copy().id());
    *progress.mutable_token() = work.copy().token();
    progress.set_done_bytes(done_bytes);
    progress.set_error(error);
  } else {
    v1::ScrubProgress& progress = *report.mutable_scrub_progress();
    progress.set_scrub_id(work.scrub().scrub_id());
    *progress.mutable_token() = work.scrub().token();
    progress.set_done_bytes(done_bytes);
  }
  Report(work, report);
}

}  // namespace weft
