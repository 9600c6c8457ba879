#include "server/node/scrubber.h"

#include <algorithm>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "server/platform/fake_clock.h"
#include "server/platform/fake_device.h"

namespace weft {
namespace {

constexpr ByteCount kCapacity{64 * kMiB.value()};
constexpr ByteCount kRate{2 * kMiB.value()};  // one piece a second

// A device whose Zero can be held up.
class GatedDevice final : public Device {
 public:
  explicit GatedDevice(std::shared_ptr<FakeMedia> media) : device_("fake0", std::move(media)) {}

  void Close() {
    absl::MutexLock lock(&mu_);
    open_ = false;
  }
  void Open() {
    absl::MutexLock lock(&mu_);
    open_ = true;
  }
  void AwaitCaller() {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&waiting_));
  }

  const std::string& name() const override { return device_.name(); }
  DeviceKind kind() const override { return device_.kind(); }
  ByteCount size() const override { return device_.size(); }
  ByteCount alignment() const override { return device_.alignment(); }
  absl::Status Read(ByteOffset o, absl::Span<uint8_t> out) override { return device_.Read(o, out); }
  absl::Status Write(ByteOffset o, absl::Span<const uint8_t> in) override {
    return device_.Write(o, in);
  }
  absl::Status Zero(ByteOffset offset, ByteCount length) override {
    {
      absl::MutexLock lock(&mu_);
      waiting_ = true;
      mu_.Await(absl::Condition(&open_));
      waiting_ = false;
    }
    return device_.Zero(offset, length);
  }
  absl::StatusOr<UniqueFd> OpenForClient(Access access) override {
    return device_.OpenForClient(access);
  }

 private:
  FakeDevice device_;
  absl::Mutex mu_;
  bool open_ ABSL_GUARDED_BY(mu_) = true;
  bool waiting_ ABSL_GUARDED_BY(mu_) = false;
};

class ScrubberTest : public testing::Test {
 protected:
  void SetUp() override {
    media_->Poke(ByteOffset(0), std::vector<uint8_t>(kCapacity.value(), 1));
    scrubber_.SetWriteDeadline(BootTime::InfiniteFuture());
    thread_ = std::thread([this] { scrubber_.Run(); });
  }
  void TearDown() override {
    device_->Open();
    scrubber_.Stop();
    thread_.join();
  }

  ScrubJob Job(uint64_t id, uint64_t offset_mib, uint64_t length_mib) const {
    return {id, device_, ByteOffset(offset_mib << 20), ByteCount(length_mib << 20)};
  }
  // Waits for the report number `count`, counted from 1, and gives it.
  ScrubReport AwaitReport(size_t count) {
    absl::MutexLock lock(&mu_);
    const auto there = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return reports_.size() >= count; };
    mu_.Await(absl::Condition(&there));
    return reports_[count - 1];
  }
  size_t Reports() {
    absl::MutexLock lock(&mu_);
    return reports_.size();
  }
  uint64_t ZeroBytes() const {
    const auto bytes = media_->Peek(ByteOffset(0), kCapacity);
    return static_cast<uint64_t>(std::count(bytes.begin(), bytes.end(), 0));
  }
  void Report(const ScrubReport& report) {
    absl::MutexLock lock(&mu_);
    reports_.push_back(report);
  }

  const std::shared_ptr<FakeMedia> media_ = std::make_shared<FakeMedia>(kCapacity);
  const std::shared_ptr<GatedDevice> device_ = std::make_shared<GatedDevice>(media_);
  FakeClock clock_;
  absl::Mutex mu_;
  std::vector<ScrubReport> reports_ ABSL_GUARDED_BY(mu_);
  Scrubber scrubber_{clock_, kRate, [this](const ScrubReport& report) { Report(report); }};
  std::thread thread_;
};

TEST_F(ScrubberTest, ZeroesExactlyTheJobAtTheRate) {
  ASSERT_TRUE(scrubber_.Submit(Job(1, 4, 5)).ok());
  EXPECT_FALSE(AwaitReport(1).over);
  for (const size_t count : {2, 3}) {
    clock_.AwaitWaiters(1);
    EXPECT_EQ(Reports(), count - 1);
    clock_.Advance(absl::Seconds(1));
    AwaitReport(count);
  }
  EXPECT_TRUE(AwaitReport(3).over);
  EXPECT_TRUE(AwaitReport(3).status.ok());
  const auto bytes = media_->Peek(ByteOffset(4 << 20), ByteCount(5 << 20));
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), 0), 5 << 20);
  EXPECT_EQ(ZeroBytes(), 5u << 20);
}

TEST_F(ScrubberTest, StopsAtTheDeadlineAndGoesOnWhenItMoves) {
  scrubber_.SetWriteDeadline(clock_.BootNow() + absl::Seconds(1));
  ASSERT_TRUE(scrubber_.Submit(Job(1, 4, 4)).ok());
  AwaitReport(1);
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Seconds(1));
  clock_.AwaitWaiters(1);
  EXPECT_EQ(ZeroBytes(), 2u << 20);
  scrubber_.SetWriteDeadline(BootTime::InfiniteFuture());
  EXPECT_TRUE(AwaitReport(2).over);
}

TEST_F(ScrubberTest, BadMemoryIsReportedWithHowFarItCame) {
  media_->Poison(ByteOffset((6 << 20) + 12345));
  ASSERT_TRUE(scrubber_.Submit(Job(1, 4, 6)).ok());
  AwaitReport(1);
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Seconds(1));
  const ScrubReport report = AwaitReport(2);
  EXPECT_TRUE(report.over);
  EXPECT_EQ(report.done, kExtentUnit);
  EXPECT_EQ(report.status.code(), absl::StatusCode::kDataLoss);
}

TEST_F(ScrubberTest, CancelWaitsForThePieceUnderWay) {
  device_->Close();
  ASSERT_TRUE(scrubber_.Submit(Job(1, 4, 6)).ok());
  device_->AwaitCaller();
  uint64_t zero_bytes_after = 0;
  std::thread canceller([&] {
    EXPECT_TRUE(scrubber_.Cancel(1));
    zero_bytes_after = ZeroBytes();
  });
  device_->Open();
  canceller.join();
  EXPECT_EQ(zero_bytes_after, 2u << 20);
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Seconds(10));
  clock_.AwaitWaiters(1);
  EXPECT_EQ(ZeroBytes(), 2u << 20);
  EXPECT_FALSE(scrubber_.Cancel(1));
}

TEST_F(ScrubberTest, JobsRunInTheOrderTheyCame) {
  ASSERT_TRUE(scrubber_.Submit(Job(7, 40, 2)).ok());
  ASSERT_TRUE(scrubber_.Submit(Job(3, 4, 2)).ok());
  AwaitReport(1);
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(AwaitReport(1).job, 7u);
  EXPECT_EQ(AwaitReport(2).job, 3u);
}

TEST_F(ScrubberTest, ASegmentThatIsMadeReadyIsNotReadAnyMore) {
  device_->Close();
  ASSERT_TRUE(scrubber_.Submit(Job(1, 2, 2)).ok());
  device_->AwaitCaller();  // which keeps the copies waiting
  ScrubJob copy = Job(2, 10, 2);
  copy.source = {device_, ByteOffset(4 << 20), SegmentId(5)};
  ASSERT_TRUE(scrubber_.Submit(copy).ok());
  copy.id = 3;
  copy.source.segment = SegmentId(6);
  ASSERT_TRUE(scrubber_.Submit(copy).ok());
  scrubber_.CancelCopiesOf(SegmentId(5));
  EXPECT_FALSE(scrubber_.Cancel(2));
  device_->Open();
  AwaitReport(1);
  clock_.AwaitWaiters(1);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(AwaitReport(2).job, 3u) << "another segment's";
}

}  // namespace
}  // namespace weft
