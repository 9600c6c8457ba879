#include "server/core/drain.h"

#include <algorithm>
#include <string>

#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/devices.h"
#include "server/core/errors.h"
#include "server/core/pools.h"

namespace weft {
namespace {

class DrainTest : public testing::Test {
 protected:
  DrainTest() {
    first_ = cluster_.AddDevice(32);
    second_ = cluster_.AddDevice(32);
    cluster_.RegisterHost("a");
    cluster_.RegisterHost("b");
    cluster_.MakePool("fam");
  }

  template <typename Request, typename Command>
  auto Run(Command command, const std::string& name) {
    Request request;
    request.set_name(name);
    return cluster_.Call(command, request);
  }
  absl::StatusOr<v1::Host> Drain(const std::string& host) {
    auto drained = Run<v1::DrainHostRequest>(DrainHost, "hosts/" + host);
    cluster_.TickAll();
    return drained;
  }
  absl::StatusOr<v1::Device> Drain() { return Run<v1::DrainDeviceRequest>(DrainDevice, first_); }
  absl::StatusOr<v1::Device> Remove() { return Run<v1::RemoveDeviceRequest>(RemoveDevice, first_); }

  absl::StatusOr<v1::AcquireGrantResponse> Open(const std::string& host, const std::string& name) {
    return cluster_.Acquire(host, "pools/fam/segments/" + name, v1::READ_ONLY);
  }
  v1::GrantState GrantOf(const std::string& host, uint64_t segment) {
    return cluster_.state().grants.at({SegmentId(segment), host}).grant().state();
  }

  TestCluster cluster_;
  std::string first_;
  std::string second_;
};

TEST_F(DrainTest, AHostThatIsDrainedIsAskedToLetGoAndGetsNothingNew) {
  ASSERT_TRUE(cluster_.Create("fam", "s", 2).ok());
  ASSERT_TRUE(cluster_.Create("fam", "t", 2).ok());
  const auto held = Open("a", "s");
  ASSERT_TRUE(held.ok());
  ASSERT_TRUE(Open("b", "s").ok());
  const auto drained = Drain("a");
  ASSERT_TRUE(drained.ok()) << drained.status();
  EXPECT_TRUE(drained->draining());
  EXPECT_EQ(drained->grants(), 1u);
  EXPECT_EQ(GrantOf("a", 1), v1::GRANT_REVOKING);
  EXPECT_EQ(cluster_.assigned["a"].at("grant/1").grant().grant().state(), v1::GRANT_REVOKING);
  EXPECT_EQ(GrantOf("b", 1), v1::GRANT_ACTIVE) << "another host's";
  EXPECT_EQ(ReasonOf(Open("a", "t").status()), v1::DRAINING);
  ASSERT_TRUE(cluster_.Release("a", held->grant()).ok());
  EXPECT_EQ(ReasonOf(Open("a", "s").status()), v1::DRAINING);
  EXPECT_TRUE(Open("b", "t").ok());
}

TEST_F(DrainTest, ADrainOutlivesCoordinatorAndDaemon) {
  ASSERT_TRUE(cluster_.Create("fam", "s", 2).ok());
  ASSERT_TRUE(Open("a", "s").ok());
  ASSERT_TRUE(Run<v1::DrainHostRequest>(DrainHost, "hosts/a").ok());
  cluster_.Restart();  // before anyone was told
  cluster_.TickAll();
  EXPECT_EQ(GrantOf("a", 1), v1::GRANT_REVOKING);
  cluster_.RegisterHost("a", 1, 2);
  cluster_.Settle();
  EXPECT_EQ(ReasonOf(Open("a", "s").status()), v1::DRAINING);
  ASSERT_TRUE(Run<v1::UndrainHostRequest>(UndrainHost, "hosts/a").ok());
  EXPECT_EQ(ReasonOf(Open("a", "s").status()), v1::HELD) << "what is being taken back still is";
}

TEST_F(DrainTest, ScrubsGoToOtherHosts) {
  ASSERT_TRUE(Drain("a").ok());
  for (int i = 0; i < 3; ++i) {
    const std::string name = "s" + std::to_string(i);
    ASSERT_TRUE(cluster_.Create("fam", name, 2).ok());
    ASSERT_TRUE(cluster_.Delete("pools/fam/segments/" + name).ok());
  }
  EXPECT_TRUE(cluster_.state().hosts.at("a").scrubs.empty());
  EXPECT_EQ(cluster_.state().hosts.at("b").scrubs.size(), 3u);
}

TEST_F(DrainTest, AThousandGrantsAreTakenBackInTransactionsOfABoundedSize) {
  cluster_.AddDevice(4096);
  cluster_.RegisterHost("a", 1, 2);
  cluster_.RegisterHost("b", 1, 2);
  cluster_.Settle();
  v1::AddDeviceRequest add;
  add.set_pool("pools/fam");
  add.set_device("devices/" + cluster_.devices.back().uuid());
  ASSERT_TRUE(cluster_.Call(AddDevice, add).ok());
  cluster_.Settle();
  for (int i = 0; i < 500; ++i) {
    const std::string name = "s" + std::to_string(i);
    ASSERT_TRUE(cluster_.Create("fam", name, 2).ok());
    ASSERT_TRUE(Open("a", name).ok());
  }
  ASSERT_TRUE(Run<v1::DrainHostRequest>(DrainHost, "hosts/a").ok());
  size_t largest = 0;
  absl::Duration next;
  do {
    next = cluster_.Run([&](State& state, const Context& context, Changes& changes) {
      const absl::Duration due = Tick(state, context, changes);
      largest = std::max(largest, changes.mutations.size());
      return due;
    });
  } while (next <= cluster_.now.monotonic);
  EXPECT_LT(largest, 128u);
  EXPECT_TRUE(cluster_.state().revoking_hosts.empty());
  EXPECT_EQ(GrantOf("a", 500), v1::GRANT_REVOKING);
}

TEST_F(DrainTest, ADeviceThatIsDrainedTakesNothingNewAndLeavesWhenItIsEmpty) {
  EXPECT_EQ(ReasonOf(Remove().status()), v1::IN_USE) << "it was not drained";
  ASSERT_TRUE(cluster_.Create("fam", "s", 64).ok()) << "on both";
  ASSERT_TRUE(Drain().ok());
  EXPECT_EQ(Drain()->state(), v1::DEVICE_DRAINING) << "again";
  cluster_.Restart();
  const absl::Status refused = Remove().status();
  EXPECT_EQ(ReasonOf(refused), v1::IN_USE);
  EXPECT_NE(refused.message().find("fam/s"), std::string::npos) << refused;
  ASSERT_TRUE(cluster_.Delete("pools/fam/segments/s").ok());
  EXPECT_EQ(ReasonOf(Remove().status()), v1::IN_USE) << "it is being scrubbed";
  cluster_.Settle();
  EXPECT_EQ(ReasonOf(cluster_.Create("fam", "t", 34).status()), v1::POOL_FULL);
  const auto removed = Remove();
  ASSERT_TRUE(removed.ok()) << removed.status();
  EXPECT_EQ(removed->state(), v1::DEVICE_REMOVED);
  EXPECT_EQ(removed->pool(), "");
  cluster_.Settle();  // the label says so, too
  v1::GetDeviceRequest get;
  get.set_name(first_);
  EXPECT_EQ(GetDevice(cluster_.state(), get)->state(), v1::DEVICE_UNASSIGNED);
}

TEST_F(DrainTest, ADeviceIsActiveAgainWhenItsDrainEnds) {
  ASSERT_TRUE(Drain().ok());
  EXPECT_EQ(ReasonOf(cluster_.Create("fam", "s", 34).status()), v1::POOL_FULL);
  ASSERT_TRUE(Run<v1::UndrainDeviceRequest>(UndrainDevice, first_).ok());
  EXPECT_TRUE(cluster_.Create("fam", "s", 34).ok());
  EXPECT_EQ(
      ReasonOf(
          Run<v1::UndrainDeviceRequest>(UndrainDevice, "devices/" + Uuid().ToString()).status()),
      v1::DEVICE_NOT_FOUND);
}

}  // namespace
}  // namespace weft
