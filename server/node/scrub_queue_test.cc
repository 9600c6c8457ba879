#include "server/node/scrub_queue.h"

#include <vector>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/node/label.h"
#include "server/platform/fake_device.h"

namespace weft {
namespace {

constexpr ByteCount kCapacity{64 * kMiB.value()};
constexpr BootTime kStart;

class ScrubQueueTest : public testing::Test {
 protected:
  explicit ScrubQueueTest(ByteCount rate = ByteCount(0)) : queue_(rate) {
    queue_.SetWriteDeadline(BootTime::InfiniteFuture());
  }

  ScrubJob Job(uint64_t id, uint64_t offset_mib, uint64_t length_mib) const {
    return {id, device_, ByteOffset(offset_mib << 20), ByteCount(length_mib << 20)};
  }
  std::optional<ScrubPiece> Piece(BootTime now = kStart) {
    const ScrubQueue::Step step = queue_.Next(now);
    const auto* piece = std::get_if<ScrubPiece>(&step);
    return piece ? std::optional(*piece) : std::nullopt;
  }

  const std::shared_ptr<Device> device_ =
      std::make_shared<FakeDevice>("fake0", std::make_shared<FakeMedia>(kCapacity));
  ScrubQueue queue_;
};

TEST_F(ScrubQueueTest, CutsJobsIntoPiecesInOrder) {
  ASSERT_TRUE(queue_.Add(Job(1, 2, 5)).ok());
  ASSERT_TRUE(queue_.Add(Job(2, 40, 2)).ok());
  std::vector<std::pair<uint64_t, uint64_t>> pieces;
  while (const auto piece = Piece()) {
    pieces.push_back({piece->offset.value() >> 20, piece->length.value() >> 20});
    queue_.Finish(absl::OkStatus());
  }
  EXPECT_EQ(pieces, (std::vector<std::pair<uint64_t, uint64_t>>{{2, 2}, {4, 2}, {6, 1}, {40, 2}}));
}

TEST_F(ScrubQueueTest, ReportsProgressAndTheEnd) {
  ASSERT_TRUE(queue_.Add(Job(1, 2, 3)).ok());
  ASSERT_TRUE(Piece().has_value());
  auto report = queue_.Finish(absl::OkStatus());
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->done, kExtentUnit);
  EXPECT_FALSE(report->over);
  ASSERT_TRUE(Piece().has_value());
  report = queue_.Finish(absl::OkStatus());
  EXPECT_EQ(report->done, report->length);
  EXPECT_TRUE(report->over);
  EXPECT_TRUE(report->status.ok());
}

TEST_F(ScrubQueueTest, ErrorEndsItsJobAndTheNextBegins) {
  ASSERT_TRUE(queue_.Add(Job(1, 2, 6)).ok());
  ASSERT_TRUE(queue_.Add(Job(2, 40, 2)).ok());
  Piece();
  queue_.Finish(absl::OkStatus());
  Piece();
  const auto report = queue_.Finish(absl::DataLossError("poison"));
  EXPECT_TRUE(report->over);
  EXPECT_EQ(report->done, kExtentUnit);
  EXPECT_EQ(report->status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Piece()->job, 2u);
}

TEST_F(ScrubQueueTest, OnePieceAtATime) {
  ASSERT_TRUE(queue_.Add(Job(1, 2, 6)).ok());
  ASSERT_TRUE(Piece().has_value());
  EXPECT_FALSE(Piece().has_value());
}

TEST_F(ScrubQueueTest, NothingIsHandedOutFromTheDeadlineOn) {
  const BootTime deadline = kStart + absl::Seconds(1);
  queue_.SetWriteDeadline(deadline);
  ASSERT_TRUE(queue_.Add(Job(1, 2, 6)).ok());
  ASSERT_TRUE(Piece(deadline - absl::Nanoseconds(1)).has_value());
  queue_.Finish(absl::OkStatus());
  EXPECT_FALSE(Piece(deadline).has_value());
  queue_.SetWriteDeadline(deadline + absl::Seconds(1));
  EXPECT_EQ(Piece(deadline)->offset.value(), 4u << 20);
}

TEST(ScrubQueue, WritesNothingBeforeItHasADeadline) {
  const auto device = std::make_shared<FakeDevice>("fake0", std::make_shared<FakeMedia>(kCapacity));
  ScrubQueue queue(ByteCount(0));
  ASSERT_TRUE(queue.Add({1, device, ByteOffset(kExtentUnit.value()), kExtentUnit}).ok());
  EXPECT_TRUE(std::holds_alternative<ScrubQueue::Idle>(queue.Next(kStart)));
}

TEST_F(ScrubQueueTest, CancelDropsAWaitingJob) {
  ASSERT_TRUE(queue_.Add(Job(1, 2, 6)).ok());
  ASSERT_TRUE(queue_.Add(Job(2, 40, 2)).ok());
  EXPECT_TRUE(queue_.Cancel(1));
  EXPECT_FALSE(queue_.Cancel(1));
  EXPECT_EQ(Piece()->job, 2u);
}

TEST_F(ScrubQueueTest, CancelledPieceUnderWayReportsNothing) {
  ASSERT_TRUE(queue_.Add(Job(1, 2, 6)).ok());
  ASSERT_TRUE(queue_.Add(Job(2, 40, 2)).ok());
  Piece();
  EXPECT_TRUE(queue_.Cancel(1));
  EXPECT_EQ(queue_.JobUnderWay(), 1u);
  EXPECT_EQ(ReasonOf(queue_.Add(Job(1, 2, 6))), v1::ALREADY_EXISTS);
  EXPECT_FALSE(queue_.Finish(absl::OkStatus()).has_value());
  EXPECT_EQ(queue_.JobUnderWay(), std::nullopt);
  EXPECT_EQ(Piece()->job, 2u);
  EXPECT_TRUE(queue_.Finish(absl::OkStatus())->over);
}

TEST_F(ScrubQueueTest, RefusesWhatIsNotInTheDataRange) {
  for (const auto& [offset, length] : std::vector<std::pair<uint64_t, uint64_t>>{
           {0, 2}, {1, 2}, {60, 4}, {62, 2}, {62, 0}, {64, 1}, {2, 0}, {2, 61}}) {
    EXPECT_EQ(ReasonOf(queue_.Add(Job(1, offset, length))), v1::BAD_SIZE) << offset;
  }
  ScrubJob huge{1, device_, ByteOffset(UINT64_MAX), ByteCount(UINT64_MAX)};
  EXPECT_EQ(ReasonOf(queue_.Add(huge)), v1::BAD_SIZE);
  EXPECT_TRUE(queue_.Add(Job(1, 2, 60)).ok());
}

TEST_F(ScrubQueueTest, RefusesSecondJobOfOneId) {
  ASSERT_TRUE(queue_.Add(Job(1, 2, 2)).ok());
  EXPECT_EQ(ReasonOf(queue_.Add(Job(1, 4, 2))), v1::ALREADY_EXISTS);
}

TEST_F(ScrubQueueTest, IsBounded) {
  for (uint64_t id = 0; id < ScrubQueue::kMaxJobs; ++id) {
    ASSERT_TRUE(queue_.Add(Job(id, 2, 2)).ok());
  }
  const absl::Status status = queue_.Add(Job(ScrubQueue::kMaxJobs, 2, 2));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(status), v1::OVERLOADED);
}

class RatedScrubQueueTest : public ScrubQueueTest {
 protected:
  RatedScrubQueueTest() : ScrubQueueTest(ByteCount(4 << 20)) {}
};

TEST_F(RatedScrubQueueTest, HandsOutAtMostTheRate) {
  ASSERT_TRUE(queue_.Add(Job(1, 2, 60)).ok());
  uint64_t bytes = 0;
  for (BootTime now = kStart; now < kStart + absl::Seconds(10);) {
    const ScrubQueue::Step step = queue_.Next(now);
    if (const auto* piece = std::get_if<ScrubPiece>(&step)) {
      bytes += piece->length.value();
      queue_.Finish(absl::OkStatus());
    } else {
      ASSERT_TRUE(std::holds_alternative<ScrubQueue::Wait>(step));
      now = std::get<ScrubQueue::Wait>(step).until;
    }
  }
  EXPECT_EQ(bytes, 40u << 20);
}

TEST_F(RatedScrubQueueTest, IdleTimeIsNotSavedUp) {
  ASSERT_TRUE(queue_.Add(Job(1, 2, 60)).ok());
  const BootTime late = kStart + absl::Hours(1);
  ASSERT_TRUE(Piece(late).has_value());
  queue_.Finish(absl::OkStatus());
  EXPECT_FALSE(Piece(late).has_value());
}

}  // namespace
}  // namespace weft
