#include "server/node/worker.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "server/core/names.h"
#include "server/node/exchange.h"
#include "server/node/fake_dax.h"
#include "server/node/fake_signatures.h"
#include "server/node/manual_executor.h"
#include "server/platform/fake_clock.h"
#include "server/platform/fake_random.h"

namespace weft {
namespace {

constexpr ByteCount kSize{16 * kMiB.value()};

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() {
    dax_.media["dax0.0"] = std::make_shared<FakeMedia>(kSize);
    EXPECT_TRUE(catalog_.Rescan().ok());
    id_ = *Uuid::Parse(catalog_.Format("dax0.0", false)->uuid());
    worker_.SetScrubber(scrubber_);
    scrubber_.SetWriteDeadline(BootTime::InfiniteFuture());
  }

  void Apply(const v1::Assignment& work) {
    v1::Assignments assignments;
    *assignments.add_upserts() = work;
    worker_.Apply(assignments);
    executor_.Run();
  }
  v1::Assignment Exchange(uint64_t step, const std::string& nonce) {
    v1::Assignment work;
    work.set_key("exchange/d");
    work.mutable_exchange()->set_device(FormatDeviceName(id_));
    work.mutable_exchange()->set_slot(3);
    work.mutable_exchange()->set_step_id(step);
    work.mutable_exchange()->set_nonce(nonce);
    return work;
  }
  v1::Assignment Scrub(uint64_t offset_mib, uint64_t length_mib, uint64_t done_mib = 0) {
    v1::Assignment work;
    work.set_key("scrub/1");
    v1::ScrubTask& task = *work.mutable_scrub();
    task.set_scrub_id(1);
    task.mutable_token()->set_counter(9);
    for (const uint64_t offset : {offset_mib, offset_mib + 6}) {
      v1::Extent& extent = *task.add_extents();
      extent.set_device(FormatDeviceName(id_));
      extent.set_offset_bytes(offset << 20);
      extent.set_length_bytes(length_mib << 20);
    }
    task.set_done_bytes(done_mib << 20);
    return work;
  }
  // From 2 MiB on, 4 MiB, to two extents.
  v1::Assignment Copy() {
    v1::Assignment work;
    work.set_key("scrub/1");
    v1::CopyTask& task = *work.mutable_copy();
    task.set_id(1);
    task.mutable_token()->set_counter(8);
    task.set_segment_id(5);
    const auto extent = [&](uint64_t offset_mib, uint64_t length_mib) {
      v1::Extent extent;
      extent.set_device(FormatDeviceName(id_));
      extent.set_offset_bytes(offset_mib << 20);
      extent.set_length_bytes(length_mib << 20);
      return extent;
    };
    *task.mutable_from() = extent(2, 4);
    *task.add_to() = extent(12, 2);
    *task.add_to() = extent(8, 2);
    return work;
  }
  // Lets the Scrubber work until `reports` came, as its thread would.
  void RunScrubberUntil(size_t reports) {
    std::thread thread([&] { scrubber_.Run(); });
    for (;;) {
      {
        absl::MutexLock lock(&mu_);
        mu_.Await(absl::Condition(this, &WorkerTest::HasScrubReports));
        for (const ScrubReport& report : scrub_reports_) worker_.OnScrubReport(report);
        scrub_reports_.clear();
      }
      executor_.Run();
      if (sent_.size() >= reports) break;
    }
    scrubber_.Stop();
    thread.join();
  }
  bool HasScrubReports() const { return !scrub_reports_.empty(); }
  uint8_t ByteAt(uint64_t mib) {
    return dax_.media["dax0.0"]->Peek(ByteOffset(mib << 20), ByteCount(1))[0];
  }
  void Dirty(uint64_t mib, uint64_t length_mib) {
    dax_.media["dax0.0"]->Poke(ByteOffset(mib << 20), std::vector<uint8_t>(length_mib << 20, 7));
  }

  FakeClock clock_;
  FakeRandom random_;
  FakeSignatureProbe probe_;
  FakeDax dax_;
  ManualExecutor executor_{clock_};
  NodeMetrics metrics_{clock_};
  DeviceCatalog catalog_{dax_, {clock_, random_, probe_}};
  DeviceId id_;
  std::vector<v1::NodeMessage> sent_;
  int labels_written_ = 0;
  Worker worker_{{executor_, executor_, clock_, catalog_, metrics_},
                 [this](v1::NodeMessage message) { sent_.push_back(std::move(message)); },
                 [this] { ++labels_written_; }};
  absl::Mutex mu_;
  std::vector<ScrubReport> scrub_reports_;
  Scrubber scrubber_{clock_, ByteCount(0), [this](const ScrubReport& report) {
                       absl::MutexLock lock(&mu_);
                       scrub_reports_.push_back(report);
                     }};
};

TEST_F(WorkerTest, WritesANonceAndReadsItBack) {
  const std::string nonce = "0123456789abcdef";
  Apply(Exchange(1, nonce));
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].exchange_result().nonce(), nonce);
  Apply(Exchange(2, ""));
  ASSERT_EQ(sent_.size(), 2u);
  EXPECT_EQ(sent_[1].exchange_result().step_id(), 2u);
  EXPECT_EQ(sent_[1].exchange_result().nonce(), nonce);
  EXPECT_EQ(sent_[1].exchange_result().error(), "");
}

TEST_F(WorkerTest, AnEmptySlotHoldsNothing) {
  Apply(Exchange(1, ""));
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].exchange_result().nonce(), "");
}

TEST_F(WorkerTest, ADeviceThatIsNotThereIsAnErrorInTheResult) {
  v1::Assignment work = Exchange(1, "");
  work.mutable_exchange()->set_device(FormatDeviceName(NewUuid(random_)));
  Apply(work);
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_NE(sent_[0].exchange_result().error(), "");
}

// What cannot be reached now says nothing of the memory: no result, and another attempt.
TEST_F(WorkerTest, AnExchangeWaitsForALabelThatIsOutOfReach) {
  const std::shared_ptr<FakeMedia> media = dax_.media.at("dax0.0");
  dax_.media.clear();
  ASSERT_TRUE(catalog_.Rescan().ok());
  dax_.media["dax0.0"] = media;
  ASSERT_TRUE(catalog_.Rescan().ok());
  Apply(Exchange(1, "0123456789abcdef"));
  executor_.Advance(absl::Seconds(2));
  EXPECT_TRUE(sent_.empty());
  catalog_.SetAnnounced(catalog_.newest_opening());
  executor_.Advance(absl::Seconds(2));
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].exchange_result().nonce(), "0123456789abcdef");
}

TEST_F(WorkerTest, WritesTheLabelAndSaysSoAgainWhenAsked) {
  v1::Assignment work;
  work.set_key("label/d");
  work.mutable_label()->set_device(FormatDeviceName(id_));
  work.mutable_label()->set_pool_uuid(NewUuid(random_).ToString());
  Apply(work);
  ASSERT_EQ(sent_.size(), 1u);
  EXPECT_EQ(sent_[0].label_written().pool_uuid(), work.label().pool_uuid());
  EXPECT_EQ(labels_written_, 1);
  worker_.RepeatReports();
  EXPECT_EQ(sent_.size(), 2u);
}

TEST_F(WorkerTest, ScrubsItsExtentsOneAfterAnotherAndNothingElse) {
  Dirty(2, 12);
  Apply(Scrub(2, 4));
  RunScrubberUntil(2);
  EXPECT_EQ(sent_[0].scrub_progress().done_bytes(), uint64_t{4} << 20);
  EXPECT_EQ(sent_[1].scrub_progress().done_bytes(), uint64_t{8} << 20);
  EXPECT_EQ(sent_[1].scrub_progress().token().counter(), 9u);
  EXPECT_EQ(dax_.media["dax0.0"]->scrub_token(), (Token{0, 9}));
  EXPECT_EQ(ByteAt(2), 0);
  EXPECT_EQ(ByteAt(6), 7);
  EXPECT_EQ(ByteAt(8), 0);
  EXPECT_EQ(ByteAt(12), 7);
}

TEST_F(WorkerTest, CopiesWhatAMoveAsksForAndNothingElse) {
  Dirty(2, 2);
  dax_.media["dax0.0"]->Poke(ByteOffset(4 << 20), std::vector<uint8_t>(2 << 20, 9));
  Apply(Copy());
  RunScrubberUntil(2);
  EXPECT_EQ(sent_[0].copy_progress().done_bytes(), uint64_t{2} << 20);
  EXPECT_EQ(sent_[1].copy_progress().done_bytes(), uint64_t{4} << 20);
  EXPECT_EQ(sent_[1].copy_progress().id(), 1u);
  EXPECT_EQ(sent_[1].copy_progress().token().counter(), 8u);
  EXPECT_EQ(ByteAt(2), 7) << "what is copied stays";
  EXPECT_EQ(ByteAt(12), 7);
  EXPECT_EQ(ByteAt(8), 9);
  EXPECT_EQ(ByteAt(10), 0);
}

TEST_F(WorkerTest, BadMemoryEndsACopyAndIsReported) {
  dax_.media["dax0.0"]->Poison(ByteOffset(5 << 20));
  Apply(Copy());
  RunScrubberUntil(3);
  EXPECT_EQ(sent_[0].copy_progress().error(), "");
  EXPECT_EQ(sent_[2].copy_progress().done_bytes(), uint64_t{2} << 20);
  EXPECT_NE(sent_[2].copy_progress().error(), "");
  executor_.Advance(absl::Minutes(1));
  EXPECT_EQ(sent_.size(), 3u) << "it is not tried again";
}

TEST_F(WorkerTest, ACopyThatIsNotWantedAnyMoreIsZeroedBehindItsLastStore) {
  Dirty(2, 4);
  Apply(Copy());
  EXPECT_TRUE(scrubber_.RunOne());
  EXPECT_EQ(ByteAt(12), 7);
  v1::Assignment instead = Scrub(12, 2);
  instead.mutable_scrub()->mutable_extents()->RemoveLast();
  Apply(instead);
  RunScrubberUntil(1);
  EXPECT_EQ(sent_[0].scrub_progress().done_bytes(), uint64_t{2} << 20);
  EXPECT_EQ(ByteAt(12), 0);
  EXPECT_EQ(ByteAt(8), 0);
}

TEST_F(WorkerTest, GoesOnWhereAnEarlierScrubStopped) {
  Dirty(2, 12);
  Apply(Scrub(2, 4, /*done_mib=*/6));
  RunScrubberUntil(1);
  EXPECT_EQ(sent_[0].scrub_progress().done_bytes(), uint64_t{8} << 20);
  EXPECT_EQ(ByteAt(2), 7);
  EXPECT_EQ(ByteAt(8), 7);
  EXPECT_EQ(ByteAt(10), 0);
}

}  // namespace
}  // namespace weft
