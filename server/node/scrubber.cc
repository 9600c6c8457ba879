#include "server/node/scrubber.h"

#include <optional>
#include <utility>
#include <variant>

namespace weft {

Scrubber::Scrubber(Clock& clock, ByteCount rate, ReportFn report)
    : clock_(clock), report_(std::move(report)), queue_(rate) {}

void Scrubber::Run() {
  while (std::optional<ScrubPiece> piece = AwaitPiece()) Zero(*piece);
}

bool Scrubber::RunOne() {
  std::optional<ScrubPiece> piece;
  {
    absl::MutexLock lock(&mu_);
    ScrubQueue::Step step = queue_.Next(clock_.BootNow());
    if (auto* found = std::get_if<ScrubPiece>(&step)) piece = std::move(*found);
  }
  if (piece) Zero(*piece);
  return piece.has_value();
}

void Scrubber::Zero(const ScrubPiece& piece) {
  const absl::Status status = piece.device->Scrub(piece.offset, piece.length, piece.token);
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

void Scrubber::SetWriteDeadline(BootTime deadline) {
  absl::MutexLock lock(&mu_);
  queue_.SetWriteDeadline(deadline);
  changed_ = true;
}

}  // namespace weft
