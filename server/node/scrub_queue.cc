#include "server/node/scrub_queue.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/core/errors.h"
#include "server/node/label.h"

namespace weft {
namespace {

absl::Status CheckRange(const ScrubJob& job) {
  const ByteCount capacity = job.device->size();
  const DataRange data = capacity < kMinDeviceSize ? DataRange() : DataRangeOf(capacity);
  const bool inside = job.offset >= data.offset && job.length <= data.length &&
                      job.offset - data.offset <= data.length - job.length;
  if (inside && job.length > ByteCount(0)) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_SIZE,
                   absl::StrCat("scrub of ", job.length.value(), " bytes at ", job.offset.value(),
                                " of ", job.device->name(), ": the data range is ",
                                data.length.value(), " bytes at ", data.offset.value()));
}

}  // namespace

absl::Status ScrubQueue::Add(ScrubJob job) {
  if (absl::Status s = CheckRange(job); !s.ok()) return s;
  const bool known =
      std::any_of(jobs_.begin(), jobs_.end(), [&](const Pending& p) { return p.job.id == job.id; });
  if (known || JobUnderWay() == job.id) {
    return MakeError(absl::StatusCode::kAlreadyExists, v1::ALREADY_EXISTS,
                     absl::StrCat("scrub job ", job.id, " is not over"));
  }
  if (jobs_.size() >= kMaxJobs) {
    return MakeError(absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
                     absl::StrCat(kMaxJobs, " scrub jobs are waiting; try again later"));
  }
  jobs_.push_back({std::move(job), ByteCount(0)});
  return absl::OkStatus();
}

bool ScrubQueue::Cancel(uint64_t id) {
  const auto it =
      std::find_if(jobs_.begin(), jobs_.end(), [&](const Pending& p) { return p.job.id == id; });
  if (it == jobs_.end()) return false;
  if (under_way_ && under_way_->job == id) cancelled_ = true;
  jobs_.erase(it);
  return true;
}

std::vector<uint64_t> ScrubQueue::CopiesOf(SegmentId segment) const {
  std::vector<uint64_t> ids;
  for (const Pending& pending : jobs_) {
    const ScrubSource& source = pending.job.source;
    if (source.device != nullptr && source.segment == segment) ids.push_back(pending.job.id);
  }
  return ids;
}

ScrubQueue::Step ScrubQueue::Next(BootTime now) {
  if (jobs_.empty() || under_way_ || now >= write_deadline_) return Idle();
  if (now < not_before_) return Wait{not_before_};
  const Pending& front = jobs_.front();
  const ByteCount length = std::min(front.job.length - front.done, Device::kMaxPiece);
  if (rate_ > ByteCount(0)) {
    not_before_ = now + absl::Seconds(1) * (static_cast<double>(length.value()) /
                                            static_cast<double>(rate_.value()));
  }
  cancelled_ = false;
  ScrubSource source = front.job.source;
  source.offset = source.offset + front.done;
  under_way_ = ScrubPiece{front.job.id, front.job.device, front.job.offset + front.done,
                          length,       front.job.token,  std::move(source)};
  return *under_way_;
}

std::optional<ScrubReport> ScrubQueue::Finish(const absl::Status& status) {
  WEFT_CHECK(under_way_.has_value());
  const ScrubPiece piece = *std::exchange(under_way_, std::nullopt);
  if (cancelled_) return std::nullopt;
  Pending& front = jobs_.front();
  WEFT_CHECK(front.job.id == piece.job, front.job.id);
  if (status.ok()) front.done += piece.length;
  const bool over = !status.ok() || front.done == front.job.length;
  const ScrubReport report{piece.job, front.done, front.job.length, over, status};
  if (over) jobs_.pop_front();
  return report;
}

std::optional<uint64_t> ScrubQueue::JobUnderWay() const {
  if (!under_way_) return std::nullopt;
  return under_way_->job;
}

}  // namespace weft
