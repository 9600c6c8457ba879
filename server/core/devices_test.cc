#include "server/core/devices.h"

#include <set>

#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/errors.h"
#include "server/core/pools.h"
#include "server/core/segments.h"
#include "server/core/sessions.h"

namespace weft {
namespace {

v1::Attachment AttachmentOf(TestCluster& cluster, const std::string& device,
                            const std::string& host) {
  v1::GetDeviceRequest request;
  request.set_name(device);
  const auto found = GetDevice(cluster.state(), request);
  for (const v1::Attachment& attachment : found->attachments()) {
    if (attachment.host() == "hosts/" + host) return attachment;
  }
  return {};
}

v1::AttachmentState StateOf(TestCluster& cluster, const std::string& device,
                            const std::string& host) {
  return AttachmentOf(cluster, device, host).state();
}

TEST(DevicesTest, HostsThatSeeTheSameMemoryAreAttached) {
  TestCluster cluster;
  const std::string device = cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.RegisterHost("b");
  EXPECT_EQ(StateOf(cluster, device, "a"), v1::ATTACHMENT_CHALLENGING);
  cluster.Settle();
  EXPECT_EQ(StateOf(cluster, device, "a"), v1::ATTACHMENT_ATTACHED);
  EXPECT_EQ(StateOf(cluster, device, "b"), v1::ATTACHMENT_ATTACHED);
}

// The limits of the store in etcd.
TEST(DevicesTest, TheLargestInventoryAndPoolFitInOneTransaction) {
  CoreOptions options;
  options.max_events = 1500;
  TestCluster cluster(options);
  // Each event that is added takes an old one out.
  for (int instance = 0; instance < 1500; ++instance) cluster.RegisterHost("b", 1, instance);
  for (int i = 0; i < 512; ++i) cluster.AddDevice(64);
  const auto expect_fits = [](const Changes& changes) {
    size_t bytes = 0;
    for (const auto& [key, value] : changes.mutations) {
      bytes += 64 + key.size() + value.value_or("").size();
    }
    EXPECT_LE(changes.mutations.size(), 3844);
    EXPECT_LE(bytes, 896 << 10);
  };
  const auto registered = cluster.Run([&](State& state, const Context& context, Changes& changes) {
    auto session = Register(state, context, cluster.RegisterRequest("a", 1, 1), changes);
    expect_fits(changes);
    return session;
  });
  ASSERT_TRUE(registered.ok()) << registered.status();
  v1::CreatePoolRequest request;
  request.set_pool_id("fam");
  for (int i = 0; i < 64; ++i) request.add_devices("devices/" + cluster.devices[i].uuid());
  const auto created = cluster.Run([&](State& state, const Context& context, Changes& changes) {
    auto pool = CreatePool(state, context, request, changes);
    expect_fits(changes);
    return pool;
  });
  ASSERT_TRUE(created.ok()) << created.status();
}

TEST(DevicesTest, AClonedDeviceIsCaught) {
  TestCluster cluster;
  const std::string device = cluster.AddDevice(64);
  cluster.memory_of[{"b", device}] = 1;  // "a" has memory 0
  cluster.RegisterHost("a");
  cluster.Settle();
  cluster.RegisterHost("b");
  cluster.Settle();
  EXPECT_EQ(StateOf(cluster, device, "a"), v1::ATTACHMENT_ATTACHED);
  EXPECT_EQ(StateOf(cluster, device, "b"), v1::ATTACHMENT_MISMATCH);
  cluster.MakePool("fam");
  ASSERT_TRUE(cluster.Create("fam", "s", 2).ok());
  EXPECT_EQ(ReasonOf(cluster.Acquire("b", "pools/fam/segments/s", v1::READ_ONLY).status()),
            v1::DEVICE_MISMATCH);
}

// A clone made after the last proof holds the last nonce: only the holder can tell.
TEST(DevicesTest, ACloneWithTheLastNonceIsCaughtWhileAHolderIsAlive) {
  TestCluster cluster;
  const std::string device = cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.Settle();
  const auto slots = cluster.slots;
  for (const auto& [key, nonce] : slots) cluster.slots[{device, 1, std::get<2>(key)}] = nonce;
  cluster.memory_of[{"b", device}] = 1;
  cluster.RegisterHost("b");
  cluster.Settle();
  EXPECT_EQ(StateOf(cluster, device, "b"), v1::ATTACHMENT_MISMATCH);
}

TEST(DevicesTest, WithNoHolderAliveTheLastNonceMustBeThere) {
  TestCluster cluster;
  const std::string device = cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.Settle();
  cluster.Advance(absl::Minutes(1));
  cluster.TickAll();

  cluster.memory_of[{"b", device}] = 1;
  cluster.RegisterHost("b");
  cluster.Settle();
  EXPECT_EQ(StateOf(cluster, device, "b"), v1::ATTACHMENT_MISMATCH);
  cluster.RegisterHost("c");
  cluster.Settle();
  EXPECT_EQ(StateOf(cluster, device, "c"), v1::ATTACHMENT_ATTACHED);
}

TEST(DevicesTest, AProofWhoseHolderDiesStartsAgain) {
  TestCluster cluster;
  const std::string device = cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.Settle();
  cluster.frozen = {"a"};
  cluster.RegisterHost("b");
  cluster.Settle();
  EXPECT_EQ(StateOf(cluster, device, "b"), v1::ATTACHMENT_CHALLENGING);
  cluster.Advance(absl::Seconds(9));
  cluster.RegisterHost("b");
  cluster.Advance(absl::Seconds(5));
  cluster.TickAll();  // "a" expires; "b" does not
  cluster.Settle();
  EXPECT_EQ(StateOf(cluster, device, "b"), v1::ATTACHMENT_ATTACHED);
}

TEST(DevicesTest, ANewDaemonProvesAgainWhileTheStreamAloneDoesNot) {
  TestCluster cluster;
  const std::string device = cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.Settle();
  cluster.RegisterHost("a");
  EXPECT_EQ(StateOf(cluster, device, "a"), v1::ATTACHMENT_ATTACHED);
  cluster.RegisterHost("a", /*boot=*/1, /*instance=*/2);
  EXPECT_EQ(StateOf(cluster, device, "a"), v1::ATTACHMENT_CHALLENGING);
  cluster.Settle();
  EXPECT_EQ(StateOf(cluster, device, "a"), v1::ATTACHMENT_ATTACHED);
}

TEST(DevicesTest, ADeviceOfAnotherSizeIsAMismatch) {
  TestCluster cluster;
  const std::string device = cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.devices[0].set_capacity_bytes(cluster.devices[0].capacity_bytes() + (2 << 20));
  cluster.RegisterHost("b");
  EXPECT_EQ(StateOf(cluster, device, "b"), v1::ATTACHMENT_MISMATCH);
}

TEST(DevicesTest, ADeviceThatIsGoneFromTheInventoryIsDetached) {
  TestCluster cluster;
  const std::string device = cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.Settle();
  const auto devices = std::exchange(cluster.devices, {});
  cluster.RegisterHost("a");
  EXPECT_EQ(AttachmentOf(cluster, device, "a").host(), "");
}

TEST(DevicesTest, AnotherPowerEpochWithNoHolderMeansThatTheContentsAreLost) {
  TestCluster cluster;
  const std::string device = cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.MakePool("fam");
  ASSERT_TRUE(cluster.Create("fam", "s", 2).ok());

  cluster.devices[0].set_power_epoch(1);
  cluster.RegisterHost("b");
  EXPECT_EQ(StateOf(cluster, device, "b"), v1::ATTACHMENT_MISMATCH) << "a holds the true one";
  v1::GetSegmentRequest get;
  get.set_name("pools/fam/segments/s");
  EXPECT_EQ(GetSegment(cluster.state(), get)->state(), v1::SEGMENT_ACTIVE);

  cluster.Advance(absl::Minutes(1));
  cluster.TickAll();
  cluster.RegisterHost("b");
  cluster.TickAll();
  EXPECT_EQ(GetSegment(cluster.state(), get)->state(), v1::SEGMENT_LOST);
  EXPECT_EQ(GetSegment(cluster.state(), get)->generation(), 2);
  EXPECT_EQ(ReasonOf(cluster.Acquire("b", get.name(), v1::READ_ONLY).status()), v1::CONTENTS_LOST);
  EXPECT_TRUE(cluster.Delete(get.name()).ok());
  cluster.Restart();
}

TEST(DevicesTest, RefusesInventoriesThatCannotBe) {
  TestCluster cluster;
  cluster.AddDevice(64);
  const v1::Register good = cluster.RegisterRequest("a", 1, 1);
  const auto before = cluster.store;
  const auto refused = [&](auto change) {
    v1::Register bad = good;
    change(*bad.mutable_devices());
    return ReasonOf(cluster.TryRegister(bad).status()) == v1::BAD_ARGUMENT;
  };
  EXPECT_TRUE(refused([](auto& list) { list.mutable_devices(0)->set_uuid("x"); }));
  EXPECT_TRUE(refused([](auto& list) { list.mutable_devices(0)->set_uuid(Uuid().ToString()); }));
  EXPECT_TRUE(refused([](auto& list) { list.mutable_devices(0)->set_pool_uuid("x"); }));
  EXPECT_TRUE(refused([](auto& list) { list.mutable_devices(0)->set_capacity_bytes(4096); }));
  EXPECT_TRUE(
      refused([](auto& list) { list.mutable_devices(0)->set_capacity_bytes(uint64_t{1} << 63); }));
  EXPECT_TRUE(refused([](auto& list) { list.mutable_devices(0)->set_data_bytes(0); }));
  EXPECT_TRUE(refused(
      [](auto& list) { list.mutable_devices(0)->set_data_offset_bytes(~uint64_t{0} << 21); }));
  EXPECT_TRUE(refused([](auto& list) { list.mutable_devices(0)->set_exchange_slots(3); }));
  EXPECT_TRUE(refused([](auto& list) { *list.add_devices() = list.devices(0); }));
  EXPECT_EQ(cluster.store, before);
}

// Lets hosts do their steps of proofs and nothing else.
void Prove(TestCluster& cluster) {
  for (int i = 0; i < 10; ++i) {
    const auto assigned = cluster.assigned;
    for (const auto& [host, by_key] : assigned) {
      for (const auto& [key, assignment] : by_key) {
        v1::NodeMessage report;
        if (!assignment.has_exchange() || !cluster.Work(host, assignment, report)) continue;
        EXPECT_TRUE(
            cluster
                .Run([&, &on = host](State& state, const Context& context, Changes& changes) {
                  return TakeReport(state, context, on, cluster.sessions[on], report, changes);
                })
                .ok());
      }
    }
  }
}

void AdvanceAlive(TestCluster& cluster, absl::Duration duration) {
  cluster.Advance(duration);
  for (const auto& [host, session] : cluster.sessions) {
    ASSERT_TRUE(Renew(cluster.state(), cluster.now, host, session).ok());
  }
  cluster.TickAll();
}

TEST(DevicesTest, OneHostAtATimeIsAssignedALabel) {
  TestCluster cluster;
  const std::string device = cluster.AddDevice(64);
  cluster.RegisterHost("b");
  Prove(cluster);
  cluster.frozen = {"b"};
  cluster.MakePool("fam");
  const std::string key = "label/" + device.substr(8);
  ASSERT_TRUE(cluster.assigned["b"].contains(key));
  cluster.RegisterHost("a");
  Prove(cluster);
  ASSERT_EQ(StateOf(cluster, device, "a"), v1::ATTACHMENT_ATTACHED);
  EXPECT_EQ(cluster.assigned["a"].count(key) + cluster.assigned["b"].count(key), 1u);
}

TEST(DevicesTest, AHolderThatDoesNotAnswerDoesNotHoldUpNewcomers) {
  TestCluster cluster;
  const std::string device = cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.MakePool("fam");
  ASSERT_TRUE(cluster.Create("fam", "s", 2).ok());
  ASSERT_TRUE(cluster.Acquire("a", "pools/fam/segments/s", v1::READ_WRITE).ok());
  cluster.frozen = {"a"};
  cluster.RegisterHost("b");
  AdvanceAlive(cluster, absl::Seconds(9));
  cluster.Settle();
  EXPECT_EQ(StateOf(cluster, device, "b"), v1::ATTACHMENT_CHALLENGING);
  AdvanceAlive(cluster, absl::Seconds(1));
  cluster.Settle();
  EXPECT_EQ(StateOf(cluster, device, "b"), v1::ATTACHMENT_ATTACHED) << "it found the last nonce";
  EXPECT_EQ(StateOf(cluster, device, "a"), v1::ATTACHMENT_CHALLENGING);
  EXPECT_EQ(cluster.state().grants.size(), 1u) << "what it was granted stays";
  cluster.frozen.clear();
  cluster.Settle();
  EXPECT_EQ(StateOf(cluster, device, "a"), v1::ATTACHMENT_ATTACHED);
}

TEST(DevicesTest, ANewcomerThatDoesNotAnswerDoesNotHoldUpOthers) {
  TestCluster cluster;
  const std::string device = cluster.AddDevice(64);
  cluster.frozen = {"a"};
  cluster.RegisterHost("a");
  cluster.RegisterHost("b");
  cluster.Settle();
  EXPECT_EQ(StateOf(cluster, device, "b"), v1::ATTACHMENT_CHALLENGING);
  AdvanceAlive(cluster, absl::Seconds(10));
  cluster.Settle();
  EXPECT_EQ(StateOf(cluster, device, "b"), v1::ATTACHMENT_ATTACHED);
}

// A host that was given up because it was slow may still do what it was told.
TEST(DevicesTest, AWriteOfAProofThatEndedDoesNotSpoilTheNext) {
  TestCluster cluster;
  const std::string device = cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.RegisterHost("b");
  cluster.Settle();
  cluster.frozen = {"a", "c"};
  cluster.RegisterHost("c");
  const auto late = cluster.assigned["a"];
  ASSERT_EQ(late.size(), 1u);
  AdvanceAlive(cluster, absl::Seconds(10));
  cluster.Settle();  // "b" writes in its place
  v1::NodeMessage report;
  ASSERT_TRUE(cluster.Work("a", late.begin()->second, report));
  cluster.frozen = {"a"};
  cluster.Settle();
  EXPECT_EQ(StateOf(cluster, device, "c"), v1::ATTACHMENT_ATTACHED);
}

TEST(DevicesTest, NoSlotIsWrittenAgainSoonEvenAfterARestart) {
  TestCluster cluster;
  cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.RegisterHost("b");
  cluster.Settle();
  std::set<uint32_t> slots{cluster.state().devices.begin()->second.record.last_nonce_slot()};
  cluster.frozen = {"a", "b", "c"};
  cluster.RegisterHost("c");
  const auto expect_new_slot = [&] {
    const auto& exchange = cluster.state().devices.begin()->second.exchange;
    ASSERT_TRUE(exchange.has_value());
    ASSERT_EQ(exchange->step, Exchange::Step::kHolderWrites);
    EXPECT_TRUE(slots.insert(exchange->slot).second) << exchange->slot;
  };
  expect_new_slot();
  cluster.Restart();
  cluster.RegisterHost("c");
  expect_new_slot();
  AdvanceAlive(cluster, absl::Seconds(10));
  expect_new_slot();
}

TEST(DevicesTest, WhatALiveHostMayStillProveIsNotLost) {
  TestCluster cluster;
  cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.MakePool("fam");
  ASSERT_TRUE(cluster.Create("fam", "s", 2).ok());
  cluster.RegisterHost("a", /*boot=*/1, /*instance=*/2);
  cluster.devices[0].set_power_epoch(1);
  cluster.RegisterHost("b");
  EXPECT_EQ(cluster.state().segments.begin()->second.segment().state(), v1::SEGMENT_ACTIVE);
}

TEST(DevicesTest, BytesOfALostDeviceAreQuarantinedAndNotTaken) {
  TestCluster cluster;
  const std::string device = cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.MakePool("fam");
  ASSERT_TRUE(cluster.Create("fam", "s", 8).ok());
  ASSERT_TRUE(cluster.Create("fam", "t", 8).ok());
  ASSERT_TRUE(cluster.Delete("pools/fam/segments/t").ok());
  cluster.devices[0].set_power_epoch(1);
  cluster.RegisterHost("a");
  const auto usage = [&] { return UsageOf(cluster.state(), *cluster.state().pools.at("fam")); };
  EXPECT_EQ(usage().quarantined_bytes(), uint64_t{56} << 20);
  EXPECT_EQ(usage().free_bytes() + usage().scrubbing_bytes(), 0u);
  EXPECT_TRUE(cluster.Delete("pools/fam/segments/s").ok());
  EXPECT_EQ(usage().quarantined_bytes(), uint64_t{64} << 20);
  cluster.Restart();
  EXPECT_EQ(usage().quarantined_bytes(), uint64_t{64} << 20);

  v1::CreateSegmentRequest request;
  request.set_parent("pools/fam");
  request.set_segment_id("u");
  request.mutable_segment()->set_size_bytes(2 << 20);
  v1::Extent& extent = *request.add_extents();
  extent.set_device(device);
  extent.set_offset_bytes(2 << 20);
  extent.set_length_bytes(2 << 20);
  EXPECT_EQ(ReasonOf(cluster.Call(CreateSegment, request).status()), v1::IN_USE);
}

TEST(DevicesTest, TheClusterKnowsOnlySoManyDevices) {
  CoreOptions options;
  options.max_devices = 1;
  TestCluster cluster(options);
  cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.AddDevice(64);
  EXPECT_EQ(ReasonOf(cluster.TryRegister(cluster.RegisterRequest("b", 1, 1)).status()), v1::QUOTA);
}

}  // namespace
}  // namespace weft
