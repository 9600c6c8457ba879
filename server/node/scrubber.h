// Zeroes freed memory in the background, and copies what moves to another device.

#ifndef WEFT_SERVER_NODE_SCRUBBER_H_
#define WEFT_SERVER_NODE_SCRUBBER_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/node/scrub_queue.h"
#include "server/platform/clock.h"

namespace weft {

// Runs scrub jobs one after another on one thread, which its owner provides. Thread-safe.
//
// Writes only before the write deadline, which is the node's right to write under its
// session: the owner moves it with each renewal. At the deadline the job stops where it is,
// and goes on when the deadline moves. A piece takes well under the margin by which the
// node's deadline lies before the coordinator's.
class Scrubber {
 public:
  // Told after every piece, by the thread in Run, with no lock held. A report that was
  // under way when its job was cancelled may still come.
  using ReportFn = std::function<void(const ScrubReport&)>;

  // `rate`: bytes a second; zero is no limit.
  Scrubber(Clock& clock, ByteCount rate, ReportFn report);

  // Runs jobs until Stop. For a thread of its own.
  void Run();
  // Does a piece if one may be done now; false: none. What Run repeats, and a simulation
  // calls.
  bool RunOne();
  // Makes Run return after the piece under way. Jobs that are not over are dropped without
  // a report.
  void Stop();

  // Errors as of ScrubQueue::Add.
  absl::Status Submit(ScrubJob job);

  // Forgets the job; false if there is none of this id, or it is over. On return nothing
  // of it is being written: waits for the piece under way. Must not be called from the
  // report function.
  bool Cancel(uint64_t id);

  // Forgets the jobs that copy bytes of `segment`, as Cancel does.
  void CancelCopiesOf(SegmentId segment);

  // See ScrubQueue. Does not wait for the piece under way.
  void SetWriteDeadline(BootTime deadline);

 private:
  // Waits for a piece to do; nothing once stopped.
  std::optional<ScrubPiece> AwaitPiece() ABSL_LOCKS_EXCLUDED(mu_);
  void Do(const ScrubPiece& piece) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Write(const ScrubPiece& piece);

  Clock& clock_;
  const ReportFn report_;
  // What is being copied; for the thread that does the pieces.
  std::vector<uint8_t> buffer_;
  absl::Mutex mu_;
  ScrubQueue queue_ ABSL_GUARDED_BY(mu_);
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  // Set by whatever may make ScrubQueue::Next answer otherwise.
  bool changed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_SCRUBBER_H_
