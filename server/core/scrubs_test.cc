#include "server/core/scrubs.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/lookup.h"
#include "server/core/pools.h"
#include "server/core/segments.h"
#include "server/core/sessions.h"

namespace weft {
namespace {

constexpr uint64_t kMi = 1 << 20;

class ScrubsTest : public testing::Test {
 protected:
  ScrubsTest() {
    cluster_.AddDevice(64);
    cluster_.RegisterHost("a", 1, 1, {}, /*can_revoke=*/true);
    cluster_.RegisterHost("b", 1, 1, {}, /*can_revoke=*/true);
    cluster_.MakePool("fam");
    EXPECT_TRUE(cluster_.Create("fam", "s", 16).ok());
    EXPECT_TRUE(cluster_.Delete("pools/fam/segments/s").ok());
  }

  // The host and task of the only scrub.
  std::pair<std::string, v1::ScrubTask> Only() {
    for (const auto& [host, by_key] : cluster_.assigned) {
      for (const auto& [key, assignment] : by_key) {
        if (assignment.has_scrub()) return {host, assignment.scrub()};
      }
    }
    ADD_FAILURE() << "no scrub is assigned";
    return {};
  }
  void Report(const std::string& host, const v1::ScrubTask& task, uint64_t done_bytes) {
    v1::NodeMessage message;
    message.mutable_scrub_progress()->set_scrub_id(task.scrub_id());
    *message.mutable_scrub_progress()->mutable_token() = task.token();
    message.mutable_scrub_progress()->set_done_bytes(done_bytes);
    EXPECT_TRUE(cluster_.Report(host, message).ok());
  }
  uint64_t Free() {
    v1::GetPoolRequest get;
    get.set_name("pools/fam");
    return GetPool(cluster_.state(), get)->usage().free_bytes();
  }

  TestCluster cluster_;
};

TEST_F(ScrubsTest, BytesBecomeFreeAsTheyAreZeroed) {
  const auto [host, task] = Only();
  EXPECT_EQ(Free(), 48 * kMi);
  Report(host, task, 4 * kMi);
  EXPECT_EQ(Free(), 52 * kMi);
  cluster_.Restart();
  EXPECT_EQ(Free(), 52 * kMi);
  Report(host, task, 16 * kMi);
  EXPECT_EQ(Free(), 64 * kMi);
  EXPECT_TRUE(cluster_.state().scrubs.empty());
}

TEST_F(ScrubsTest, ReportsThatAreNotCurrentFreeNothing) {
  const auto [host, task] = Only();
  const std::string other = host == "a" ? "b" : "a";
  Report(other, task, 16 * kMi);
  Report(host, task, 3 * kMi);
  Report(host, task, 18 * kMi);
  v1::ScrubTask old = task;
  old.mutable_token()->set_counter(task.token().counter() - 1);
  Report(host, old, 16 * kMi);
  old = task;
  old.set_scrub_id(task.scrub_id() + 1);
  Report(host, old, 16 * kMi);
  EXPECT_EQ(Free(), 48 * kMi);
  Report(host, task, 8 * kMi);
  Report(host, task, 4 * kMi);
  EXPECT_EQ(Free(), 56 * kMi) << "progress does not go back";
}

TEST_F(ScrubsTest, AnotherHostGoesOnUnderANewTokenWhereTheFirstOneDied) {
  const auto [host, task] = Only();
  const std::string other = host == "a" ? "b" : "a";
  Report(host, task, 4 * kMi);
  cluster_.Advance(absl::Seconds(6));
  ASSERT_TRUE(Renew(cluster_.state(), cluster_.now, other, cluster_.sessions[other]).ok());
  cluster_.Advance(absl::Seconds(6));
  cluster_.TickAll();
  const auto [next_host, next] = Only();
  EXPECT_EQ(next_host, other);
  EXPECT_EQ(next.done_bytes(), 4 * kMi);
  EXPECT_GT(FromProto(next.token()), FromProto(task.token()));
  Report(other, next, 16 * kMi);
  EXPECT_EQ(Free(), 64 * kMi);
}

TEST_F(ScrubsTest, AHostHasOnlySoManyAtATime) {
  cluster_.Settle();
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(cluster_.Create("fam", "s" + std::to_string(i), 2).ok());
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(cluster_.Delete("pools/fam/segments/s" + std::to_string(i)).ok());
  }
  EXPECT_EQ(cluster_.assigned["a"].size(), 4u);
  EXPECT_EQ(cluster_.assigned["b"].size(), 4u);
  cluster_.Settle();
  EXPECT_EQ(Free(), 64 * kMi);
}

TEST_F(ScrubsTest, ANewDaemonProvesItsDeviceBeforeItScrubs) {
  const auto [host, task] = Only();
  const std::string device = "devices/" + cluster_.devices[0].uuid();
  cluster_.memory_of[{host, device}] = 1;  // a copy now
  cluster_.RegisterHost(host, 1, /*instance=*/2, {}, /*can_revoke=*/true);
  Report(host, task, 16 * kMi);
  EXPECT_EQ(Free(), 48 * kMi);
  const auto [next_host, next] = Only();
  EXPECT_NE(next_host, host);
  EXPECT_GT(FromProto(next.token()), FromProto(task.token()));
}

TEST_F(ScrubsTest, AHostThatHasNoUseOfTheDevicePassesItsScrubsOn) {
  const auto [host, task] = Only();
  v1::NodeMessage message;
  message.mutable_device_refused()->set_device("devices/" + cluster_.devices[0].uuid());
  ASSERT_TRUE(cluster_
                  .Run([&, &on = host](State& state, const Context& context, Changes& changes) {
                    return TakeReport(state, context, on, cluster_.sessions[on], message, changes);
                  })
                  .ok());
  EXPECT_NE(Only().first, host);
}

TEST(ScrubsOfTwoDevicesTest, RoomThatALostDeviceLeavesIsUsed) {
  CoreOptions options;
  options.max_scrubs_per_host = 1;
  TestCluster cluster(options);
  cluster.AddDevice(64);
  cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.Settle();
  cluster.frozen = {"a"};
  cluster.MakePool("fam");
  const auto scrubbed_device = [&] {
    for (const auto& [key, assignment] : cluster.assigned["a"]) {
      if (assignment.has_scrub()) return assignment.scrub().extents(0).device();
    }
    return std::string();
  };
  ASSERT_EQ(scrubbed_device(), "devices/" + cluster.devices[0].uuid());
  cluster.devices[0].set_power_epoch(1);
  cluster.RegisterHost("a");
  EXPECT_EQ(scrubbed_device(), "devices/" + cluster.devices[1].uuid());
}

TEST(ScrubsOfManyDevicesTest, WhatADeletionLeavesIsAssignedInSteps) {
  constexpr size_t kMostMutations = 128;
  constexpr int kDevices = 64;
  TestCluster cluster;
  for (int i = 0; i < kDevices; ++i) cluster.AddDevice(2);
  for (int i = 0; i < 17; ++i) cluster.RegisterHost(absl::StrCat("host-", i));
  cluster.MakePool("fam");
  ASSERT_TRUE(cluster.Create("fam", "wide", 2 * kDevices).ok());
  for (const auto& [host, session] : cluster.sessions) cluster.frozen.push_back(host);

  size_t mutations = 0;
  v1::DeleteSegmentRequest request;
  request.set_name("pools/fam/segments/wide");
  const absl::Status deleted =
      cluster.Run([&](State& state, const Context& context, Changes& changes) {
        const absl::Status status = DeleteSegment(state, context, request, changes);
        mutations = changes.mutations.size();
        return status;
      });
  ASSERT_TRUE(deleted.ok()) << deleted;
  EXPECT_LE(mutations, kMostMutations);
  const auto unassigned = [&] {
    size_t count = 0;
    for (const auto& [id, device] : cluster.state().devices)
      count += device.unassigned_scrubs.size();
    return count;
  };
  EXPECT_GT(unassigned(), 0u);
  cluster.TickAll();
  EXPECT_EQ(unassigned(), 0u);
}

}  // namespace
}  // namespace weft
