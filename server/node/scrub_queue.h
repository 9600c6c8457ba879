// What is to be zeroed, or copied, next, and when. No threads, no I/O, no clock reads: see
// scrubber.h.

#ifndef WEFT_SERVER_NODE_SCRUB_QUEUE_H_
#define WEFT_SERVER_NODE_SCRUB_QUEUE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "server/core/types.h"
#include "server/platform/clock.h"
#include "server/platform/device.h"

namespace weft {

// Where the bytes come from that are written instead of zeroes.
struct ScrubSource {
  // Null: zeroes.
  std::shared_ptr<Device> device = nullptr;
  ByteOffset offset = ByteOffset(0);
  // Whose bytes they are.
  SegmentId segment = SegmentId(0);
};

struct ScrubJob {
  // The submitter's; unique among the jobs that are not over.
  uint64_t id = 0;
  std::shared_ptr<Device> device;
  ByteOffset offset;
  ByteCount length;
  // The right to write there, and to read the source.
  Token token = {};
  ScrubSource source = {};
};

// A part of a job that is done in one go: at most Device::kMaxPiece.
struct ScrubPiece {
  uint64_t job = 0;
  std::shared_ptr<Device> device;
  ByteOffset offset;
  ByteCount length;
  Token token = {};
  ScrubSource source = {};
};

// How far a job has come.
struct ScrubReport {
  uint64_t job = 0;
  // Zeroed, or copied, from the job's start.
  ByteCount done;
  ByteCount length;
  // Whether the job is over: all is done if `status` is OK, and otherwise the piece
  // after `done` failed.
  bool over = false;
  absl::Status status;
};

// Jobs in the order in which they came, cut into pieces. Not thread-safe.
class ScrubQueue {
 public:
  static constexpr size_t kMaxJobs = 4096;

  // Hands out at most `rate` bytes a second, and no more than one piece at once; zero is
  // no limit.
  explicit ScrubQueue(ByteCount rate) : rate_(rate) {}

  //   INVALID_ARGUMENT BAD_SIZE         nothing to zero, or not inside the device's data
  //                                     range: labels are never scrubbed
  //   ALREADY_EXISTS ALREADY_EXISTS     a job of this id is not over
  //   RESOURCE_EXHAUSTED OVERLOADED     there are kMaxJobs
  absl::Status Add(ScrubJob job);

  // Forgets the job; false if there is none of this id. A piece of it that was handed out
  // is still to be finished, and then reports nothing.
  bool Cancel(uint64_t id);

  // The jobs that copy bytes of `segment`.
  std::vector<uint64_t> CopiesOf(SegmentId segment) const;

  // Nothing is handed out at or after `deadline`: the right to write may be over then.
  // InfinitePast to begin with.
  void SetWriteDeadline(BootTime deadline) { write_deadline_ = deadline; }

  // Nothing to do until something is added, the deadline moves, or a piece is finished.
  struct Idle {};
  // Look again at `until`.
  struct Wait {
    BootTime until;
  };
  using Step = std::variant<Idle, Wait, ScrubPiece>;

  // What to do at `now`. A piece that is handed out must be finished.
  Step Next(BootTime now);

  // Takes the outcome of the piece that was handed out. Nothing if its job was cancelled
  // meanwhile. After an error the job is over. REQUIRES: a piece is handed out.
  std::optional<ScrubReport> Finish(const absl::Status& status);

  // The job that the piece under way belongs to, be it cancelled or not.
  std::optional<uint64_t> JobUnderWay() const;

 private:
  struct Pending {
    ScrubJob job;
    ByteCount done;
  };

  const ByteCount rate_;
  std::deque<Pending> jobs_;
  // The piece that was handed out. Its job is jobs_.front(), unless it was cancelled.
  std::optional<ScrubPiece> under_way_;
  bool cancelled_ = false;
  BootTime write_deadline_ = BootTime::InfinitePast();
  // When the rate allows the next piece.
  BootTime not_before_ = BootTime::InfinitePast();
};

}  // namespace weft

#endif  // WEFT_SERVER_NODE_SCRUB_QUEUE_H_
