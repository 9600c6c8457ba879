#include "server/node/scrubber.h"

#include <optional>
#include <utility>
#include <variant>

namespace weft {

Scrubber::Scrubber(Clock& clock, ByteCount rate, ReportFn report)
    : clock_(clock), report_(std::move(report)), queue_(rate) {}

void Scrubber::Run() {
  while (std::optional<ScrubPiece> piece = AwaitPiece()) Do(*piece);
}

bool Scrubber::RunOne() {
  std::optional<ScrubPiece> piece;
  {
    absl::MutexLock lock(&mu_);
    ScrubQueue::Step step = queue_.Next(clock_.BootNow());
    if (auto* found = std::get_if<ScrubPiece>(&step)) piece = std::move(*found);
  }
  if (piece) Do(*piece);
  return piece.has_value();
}

absl::Status Scrubber::Write(const ScrubPiece& piece) {
  if (piece.source.device == nullptr) {
    return piece.device->Scrub(piece.offset, piece.length, piece.token);
  }
  buffer_.resize(piece.length.value());
  const absl::Status read =
      piece.source.device->CopyOut(piece.source.offset, absl::MakeSpan(buffer_), piece.token);
  return read.ok() ? piece.device->CopyIn(piece.offset, buffer_, piece.token) : read;
}

void Scrubber::Do(const ScrubPiece& piece) {
  const absl::Status status = Write(piece);
  std::optional<ScrubReport> report;
  {
    absl::MutexLock lock(&mu_);
    report = queue_.Finish(status);
  }
  if (report) report_(*report);
}

std::optional<ScrubPiece> Scrubber::AwaitPiece() {
  absl::MutexLock lock(&mu_);
  while (!stopped_) {
    changed_ = false;
    ScrubQueue::Step step = queue_.Next(clock_.BootNow());
    if (auto* piece = std::get_if<ScrubPiece>(&step)) return std::move(*piece);
    const auto* wait = std::get_if<ScrubQueue::Wait>(&step);
    clock_.WaitUntil(mu_, absl::Condition(&changed_),
                     wait != nullptr ? wait->until : BootTime::InfiniteFuture());
  }
  return std::nullopt;
}

void Scrubber::Stop() {
  absl::MutexLock lock(&mu_);
  stopped_ = true;
  changed_ = true;
}

absl::Status Scrubber::Submit(ScrubJob job) {
  absl::MutexLock lock(&mu_);
  changed_ = true;
  return queue_.Add(std::move(job));
}

bool Scrubber::Cancel(uint64_t id) {
  absl::MutexLock lock(&mu_);
  const bool found = queue_.Cancel(id);
  changed_ = true;
  const auto is_done = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return queue_.JobUnderWay() != id; };
  mu_.Await(absl::Condition(&is_done));
  return found;
}

void Scrubber::CancelCopiesOf(SegmentId segment) {
  std::vector<uint64_t> jobs;
  {
    absl::MutexLock lock(&mu_);
    jobs = queue_.CopiesOf(segment);
  }
  for (const uint64_t job : jobs) Cancel(job);
}

void Scrubber::SetWriteDeadline(BootTime deadline) {
  absl::MutexLock lock(&mu_);
  queue_.SetWriteDeadline(deadline);
  changed_ = true;
}

}  // namespace weft
