#include "server/core/quarantine.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/devices.h"
#include "server/core/errors.h"
#include "server/core/grants.h"
#include "server/core/pools.h"
#include "server/core/segments.h"

namespace weft {
namespace {

constexpr uint64_t kMi = uint64_t{1} << 20;
constexpr uint64_t kPage = 4096;

class QuarantineTest : public testing::Test {
 protected:
  QuarantineTest() {
    device_ = cluster_.AddDevice(64);  // data from 2 MiB on
    cluster_.RegisterHost("a");
    cluster_.RegisterHost("b");
    cluster_.MakePool("fam");
  }

  // `host` reports its device with these bad ranges, and no others.
  void Report(const std::string& host, const std::vector<std::pair<uint64_t, uint64_t>>& bad) {
    v1::NodeMessage message;
    v1::LocalDevice& local = *message.mutable_devices()->add_devices() = cluster_.devices[0];
    for (const auto& [offset, length] : bad) {
      v1::ByteRange& range = *local.add_bad_ranges();
      range.set_offset_bytes(offset);
      range.set_length_bytes(length);
    }
    const absl::Status taken = cluster_.Report(host, message);
    ASSERT_TRUE(taken.ok()) << taken;
  }
  absl::StatusOr<v1::Device> Clear(std::vector<std::pair<uint64_t, uint64_t>> ranges = {}) {
    v1::ClearPoisonRequest request;
    request.set_name(device_);
    for (const auto& [offset, length] : ranges) {
      v1::ByteRange& range = *request.add_ranges();
      range.set_offset_bytes(offset);
      range.set_length_bytes(length);
    }
    return cluster_.Call(ClearPoison, request);
  }
  v1::Device Device() {
    v1::GetDeviceRequest request;
    request.set_name(device_);
    return *GetDevice(cluster_.state(), request);
  }
  v1::Segment Segment(const std::string& name) {
    v1::GetSegmentRequest request;
    request.set_name("pools/fam/segments/" + name);
    return *GetSegment(cluster_.state(), request);
  }
  int Events(v1::EventType type) const {
    return static_cast<int>(std::count_if(cluster_.events.begin(), cluster_.events.end(),
                                          [&](const auto& event) { return event.type() == type; }));
  }
  // The hosts that have a scrub to do.
  std::vector<std::string> Scrubbing() const {
    std::vector<std::string> hosts;
    for (const auto& [host, by_key] : cluster_.assigned) {
      for (const auto& [key, assignment] : by_key) {
        if (assignment.has_scrub()) hosts.push_back(host);
      }
    }
    return hosts;
  }

  TestCluster cluster_;
  std::string device_;
};

TEST_F(QuarantineTest, FreeMemoryThatFailsIsNeverAllocated) {
  Report("a", {{10 * kMi + kPage, kPage}});
  EXPECT_EQ(Device().quarantined_bytes(), 2 * kMi);
  EXPECT_EQ(Device().free_bytes(), 62 * kMi);
  ASSERT_EQ(Device().bad_ranges_size(), 1);
  EXPECT_EQ(Device().bad_ranges(0).offset_bytes(), 10 * kMi + kPage);
  EXPECT_EQ(Device().bad_ranges(0).length_bytes(), kPage);
  const v1::Usage usage = UsageOf(cluster_.state(), *cluster_.state().pools.at("fam"));
  EXPECT_EQ(usage.quarantined_bytes(), 2 * kMi);
  EXPECT_EQ(usage.free_bytes(), 62 * kMi);

  const auto all = cluster_.Create("fam", "s", 62);
  ASSERT_TRUE(all.ok()) << all.status();
  for (const v1::Run& run : all->runs()) {
    const v1::Extent& extent = run.extents(0);
    EXPECT_TRUE(extent.offset_bytes() >= 12 * kMi ||
                extent.offset_bytes() + extent.length_bytes() <= 10 * kMi);
  }
  EXPECT_EQ(ReasonOf(cluster_.Create("fam", "t", 2).status()), v1::POOL_FULL);
}

TEST_F(QuarantineTest, ItStaysAcrossRestartsAndWhateverHostsSayLater) {
  Report("a", {{10 * kMi, kPage}});
  Report("a", {});
  cluster_.Restart();
  EXPECT_EQ(Device().quarantined_bytes(), 2 * kMi);
  cluster_.RegisterHost("a", 1, 2);
  EXPECT_EQ(Device().quarantined_bytes(), 2 * kMi);
}

TEST_F(QuarantineTest, ItIsToldOnce) {
  Report("a", {{10 * kMi, kPage}});
  Report("a", {{10 * kMi, kPage}});
  Report("b", {{10 * kMi, kPage}});
  EXPECT_EQ(Events(v1::MEMORY_FAILED), 1);
  Report("b", {{10 * kMi, 2 * kPage}});
  EXPECT_EQ(Events(v1::MEMORY_FAILED), 2);
  EXPECT_EQ(Device().bad_ranges_size(), 1);
}

TEST_F(QuarantineTest, ClearedMemoryIsZeroedThenFree) {
  Report("b", {{10 * kMi, kPage}});
  cluster_.scrubbed.clear();
  const auto device = Clear();
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ(device->quarantined_bytes(), 0u);
  EXPECT_EQ(device->scrubbing_bytes(), 2 * kMi);
  EXPECT_EQ(device->bad_ranges_size(), 1);                // not yet
  EXPECT_EQ(Scrubbing(), std::vector<std::string>{"b"});  // whose kernel finds it bad
  cluster_.Restart();
  cluster_.Settle();
  ASSERT_EQ(cluster_.scrubbed.size(), 1u);
  EXPECT_EQ(cluster_.scrubbed[0].offset_bytes(), 10 * kMi);
  EXPECT_EQ(Device().free_bytes(), 64 * kMi);
  EXPECT_EQ(Device().bad_ranges_size(), 0);
  EXPECT_EQ(Events(v1::POISON_CLEARED), 1);
}

TEST_F(QuarantineTest, EveryHostThatFindsItBadZeroesIt) {
  Report("a", {{10 * kMi, kPage}});
  Report("b", {{10 * kMi, kPage}});
  ASSERT_TRUE(Clear().ok());
  cluster_.scrubbed.clear();
  cluster_.Settle();
  EXPECT_EQ(cluster_.scrubbed.size(), 2u);
  EXPECT_EQ(Device().free_bytes(), 64 * kMi);
  EXPECT_EQ(Device().bad_ranges_size(), 0);
}

TEST_F(QuarantineTest, OnlyWhatIsAskedForIsCleared) {
  Report("a", {{10 * kMi, kPage}, {20 * kMi, kPage}});
  ASSERT_TRUE(Clear({{20 * kMi, 2 * kMi}}).ok());
  cluster_.Settle();
  ASSERT_EQ(Device().bad_ranges_size(), 1);
  EXPECT_EQ(Device().bad_ranges(0).offset_bytes(), 10 * kMi);
  EXPECT_EQ(Device().quarantined_bytes(), 2 * kMi);
  EXPECT_EQ(ReasonOf(Clear({{0, 1024 * kMi}}).status()), v1::BAD_ARGUMENT);
}

TEST_F(QuarantineTest, ASegmentGoesOnAndItsHoldersAreTold) {
  ASSERT_TRUE(cluster_.Create("fam", "s", 64).ok());
  ASSERT_TRUE(cluster_.Acquire("a", "pools/fam/segments/s", v1::READ_ONLY).ok());
  Report("b", {{10 * kMi + kPage, kPage}});
  EXPECT_EQ(Device().quarantined_bytes(), 0u);
  EXPECT_EQ(Device().used_bytes(), 64 * kMi);
  const auto ranges = [](const auto& bad) {
    EXPECT_EQ(bad.size(), 1);
    return bad.empty() ? std::pair<uint64_t, uint64_t>()
                       : std::pair(bad[0].offset_bytes(), bad[0].length_bytes());
  };
  const std::pair in_segment(8 * kMi + kPage, kPage);
  EXPECT_EQ(ranges(Segment("s").bad_ranges()), in_segment);
  for (const auto& [key, assignment] : cluster_.assigned["a"]) {
    if (assignment.has_grant()) {
      EXPECT_EQ(ranges(assignment.grant().bad_ranges()), in_segment);
    }
  }
  const auto again = cluster_.Acquire("b", "pools/fam/segments/s", v1::READ_ONLY);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(ranges(again->segment().bad_ranges()), in_segment);
  EXPECT_EQ(cluster_.events.back().type(), v1::GRANT_ACQUIRED);
  EXPECT_EQ(Events(v1::MEMORY_FAILED), 1);
}

TEST_F(QuarantineTest, WhatFailedInASegmentIsQuarantinedWhenTheSegmentIsGone) {
  ASSERT_TRUE(cluster_.Create("fam", "s", 64).ok());
  Report("a", {{10 * kMi, kPage}});
  ASSERT_TRUE(cluster_.Delete("pools/fam/segments/s").ok());
  cluster_.Settle();
  EXPECT_EQ(Device().quarantined_bytes(), 2 * kMi);
  EXPECT_EQ(Device().free_bytes(), 62 * kMi);
}

TEST_F(QuarantineTest, BytesOfASegmentAreClearedOnlyOnceNoHostFindsThemBad) {
  ASSERT_TRUE(cluster_.Create("fam", "s", 64).ok());
  Report("a", {{10 * kMi, kPage}});
  const absl::Status refused = Clear().status();
  EXPECT_EQ(ReasonOf(refused), v1::POISONED);
  EXPECT_NE(std::string(refused.message()).find("pools/fam/segments/s"), std::string::npos);
  EXPECT_EQ(Segment("s").bad_ranges_size(), 1);
  Report("a", {});
  ASSERT_TRUE(Clear().ok());
  EXPECT_EQ(Segment("s").bad_ranges_size(), 0);
}

TEST_F(QuarantineTest, WhatFailsDuringAScrubIsQuarantinedAfterIt) {
  ASSERT_TRUE(cluster_.Create("fam", "s", 64).ok());
  ASSERT_TRUE(cluster_.Delete("pools/fam/segments/s").ok());
  EXPECT_EQ(Device().scrubbing_bytes(), 64 * kMi);
  Report("a", {{10 * kMi, kPage}});
  EXPECT_EQ(Device().quarantined_bytes(), 0u);
  cluster_.Settle();
  EXPECT_EQ(Device().quarantined_bytes(), 2 * kMi);
  EXPECT_EQ(Device().free_bytes(), 62 * kMi);
}

TEST_F(QuarantineTest, ACloneCannotQuarantine) {
  cluster_.memory_of[{"c", device_}] = 1;
  cluster_.RegisterHost("c");
  cluster_.Settle();
  Report("c", {{10 * kMi, kPage}});
  EXPECT_EQ(Device().bad_ranges_size(), 0);
  EXPECT_EQ(Device().free_bytes(), 64 * kMi);
}

TEST_F(QuarantineTest, AStripedSegmentNamesItsOwnOffsets) {
  v1::Segment segment;
  v1::Run& run = *segment.add_runs();
  run.set_chunk_bytes(2 * kMi);
  for (const uint64_t offset : {2, 34}) {
    v1::Extent& extent = *run.add_extents();
    extent.set_device(device_);
    extent.set_offset_bytes(offset * kMi);
    extent.set_length_bytes(8 * kMi);
  }
  // Of the second extent: the end of its chunk 0 and the start of its chunk 1.
  Report("a", {{36 * kMi - kPage, 2 * kPage}});
  AddBadRanges(cluster_.state(), segment);
  ASSERT_EQ(segment.bad_ranges_size(), 2);
  EXPECT_EQ(segment.bad_ranges(0).offset_bytes(), 4 * kMi - kPage);
  EXPECT_EQ(segment.bad_ranges(1).offset_bytes(), 6 * kMi);
}

}  // namespace
}  // namespace weft
