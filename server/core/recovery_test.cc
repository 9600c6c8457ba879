#include "server/core/recovery.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/drain.h"
#include "server/core/errors.h"
#include "server/core/fencing.h"
#include "server/core/grants.h"
#include "server/core/keys.h"
#include "server/core/lookup.h"
#include "server/core/pools.h"
#include "server/core/segments.h"
#include "server/core/sessions.h"
#include "server/core/status.h"

namespace weft {
namespace {

constexpr uint64_t kMi = 1 << 20;

class RecoveryTest : public testing::Test {
 protected:
  RecoveryTest() {
    device_ = cluster_.AddDevice(64);
    cluster_.RegisterHost("a");
    cluster_.RegisterHost("b");
    cluster_.MakePool("fam");
    EXPECT_TRUE(cluster_.Create("fam", "s", 2).ok());
  }

  absl::StatusOr<v1::AcquireGrantResponse> Open(const std::string& host, const std::string& name,
                                                v1::AccessMode mode = v1::READ_WRITE) {
    return cluster_.Acquire(host, "pools/fam/segments/" + name, mode);
  }
  // Of "s", unless another is named.
  std::vector<std::string> Holders(uint64_t segment = 1) {
    return HoldersOf(cluster_.state(), SegmentId(segment));
  }
  v1::Grant GrantOf(const std::string& host) {
    return cluster_.state().grants.at({SegmentId(1), host}).grant();
  }
  static v1::HeldGrant Held(const v1::Grant& grant) {
    v1::HeldGrant held;
    held.set_segment_id(grant.segment_id());
    *held.mutable_token() = grant.token();
    held.set_mode(grant.mode());
    return held;
  }
  absl::Status Register(const std::string& host, const std::vector<v1::HeldGrant>& held = {},
                        int boot = 1) {
    v1::Register request = cluster_.RegisterRequest(host, boot, 2);
    for (const v1::HeldGrant& grant : held) *request.add_held() = grant;
    const absl::Status status = cluster_.TryRegister(request).status();
    cluster_.TickAll();
    return status;
  }
  absl::Status ConfirmPoweredOff(const std::string& host) {
    v1::FenceHostRequest request;
    request.set_name("hosts/" + host);
    request.set_confirm_powered_off(true);
    const absl::Status status = cluster_.Call(FenceHost, request).status();
    cluster_.TickAll();
    return status;
  }
  v1::Usage UsageNow() { return UsageOf(cluster_.state(), *cluster_.state().pools.at("fam")); }
  v1::Reason CreateNow(const std::string& name) {
    return ReasonOf(cluster_.Create("fam", name, 2).status());
  }

  TestCluster cluster_;
  std::string device_;
};

TEST_F(RecoveryTest, NothingIsGivenOutBeforeEveryHostWasHeardOf) {
  cluster_.Restore(cluster_.store);
  EXPECT_EQ(CreateNow("t"), v1::RECOVERING);
  EXPECT_EQ(ReasonOf(cluster_.Delete("pools/fam/segments/s")), v1::RECOVERING);
  v1::DeletePoolRequest remove;
  remove.set_name("pools/fam");
  EXPECT_EQ(ReasonOf(cluster_.Call(DeletePool, remove)), v1::RECOVERING);

  ASSERT_TRUE(Register("a").ok());
  cluster_.Settle();
  const absl::Status waits = Open("a", "s").status();
  EXPECT_EQ(ReasonOf(waits), v1::RECOVERING);
  EXPECT_NE(waits.message().find("b"), std::string::npos) << waits;
  EXPECT_TRUE(absl::IsUnavailable(waits)) << "worth trying again";
  cluster_.Restart();
  const v1::ClusterStatus status = StatusOf(cluster_.state());
  EXPECT_EQ(status.devices_recovering(), 1u);
  ASSERT_EQ(status.awaited_hosts_size(), 1);
  EXPECT_EQ(status.awaited_hosts(0), "b");
  EXPECT_EQ(status.usage().free_bytes(), 0u);

  ASSERT_TRUE(Register("b").ok());
  EXPECT_EQ(StatusOf(cluster_.state()).devices_recovering(), 0u);
  EXPECT_EQ(CreateNow("t"), v1::POOL_FULL) << "free bytes are zeroed first";
  EXPECT_EQ(UsageNow().scrubbing_bytes(), 62 * kMi);
  cluster_.scrubbed.clear();
  cluster_.Settle();
  EXPECT_EQ(UsageNow().free_bytes(), 62 * kMi);
  EXPECT_EQ(CreateNow("t"), v1::REASON_UNSPECIFIED);
  EXPECT_TRUE(Open("a", "s").ok());
}

TEST_F(RecoveryTest, AFencedHostIsNotAwaited) {
  cluster_.Restore(cluster_.store);
  ASSERT_TRUE(Register("a").ok());
  ASSERT_TRUE(ConfirmPoweredOff("b").ok());
  cluster_.Settle();
  EXPECT_EQ(CreateNow("t"), v1::REASON_UNSPECIFIED);
}

TEST_F(RecoveryTest, WhatAHostHoldsIsItsThoughTheBackupDoesNotSaySo) {
  const auto backup = cluster_.store;
  const v1::Grant grant = Open("a", "s")->grant();
  cluster_.Restore(backup);
  ASSERT_TRUE(Register("b").ok());
  ASSERT_TRUE(Register("a", {Held(grant)}).ok());
  cluster_.Settle();
  EXPECT_EQ(ReasonOf(Open("b", "s").status()), v1::HELD);
  EXPECT_EQ(GrantOf("a").token().counter(), grant.token().counter())
      << "another would end what its programs have mapped";
  ASSERT_TRUE(cluster_.Release("a", grant).ok());
  const v1::Grant next = Open("b", "s")->grant();
  EXPECT_GT(FromProto(next.token()), FromProto(grant.token()));
}

TEST_F(RecoveryTest, AGrantThatWasRaisedSinceTheBackupExcludesWhatItExcluded) {
  ASSERT_TRUE(Open("a", "s", v1::READ_ONLY).ok());
  const auto backup = cluster_.store;
  const v1::Grant raised = Open("a", "s")->grant();
  cluster_.Restore(backup);
  ASSERT_TRUE(Register("a", {Held(raised)}).ok());
  ASSERT_TRUE(Register("b").ok());
  cluster_.Settle();
  EXPECT_EQ(GrantOf("a").mode(), v1::READ_WRITE);
  EXPECT_EQ(ReasonOf(Open("b", "s").status()), v1::HELD) << "a writes";
  cluster_.Restart();
  EXPECT_EQ(ReasonOf(Open("b", "s").status()), v1::HELD);
}

TEST_F(RecoveryTest, AGrantThatWasTakenAnewSinceTheBackupIsKnownByItsToken) {
  const v1::Grant before = Open("a", "s")->grant();
  const auto backup = cluster_.store;
  ASSERT_TRUE(cluster_.Release("a", before).ok());
  const v1::Grant anew = Open("a", "s", v1::READ_ONLY)->grant();
  cluster_.Restore(backup);
  ASSERT_TRUE(Register("a", {Held(anew)}).ok());
  EXPECT_EQ(FromProto(GrantOf("a").token()), FromProto(anew.token()));
  EXPECT_EQ(GrantOf("a").mode(), v1::READ_ONLY);
  ASSERT_TRUE(cluster_.Release("a", before).ok());
  EXPECT_EQ(Holders(), std::vector<std::string>{"a"}) << "an older token releases nothing";
  ASSERT_TRUE(cluster_.Release("a", anew).ok());
  EXPECT_TRUE(Holders().empty());
}

TEST_F(RecoveryTest, WhatTheBackupCallsHeldIsOverIfAnotherGotItSince) {
  ASSERT_TRUE(cluster_.Create("fam", "t", 2).ok());
  const v1::Grant s_of_b = Open("b", "s")->grant();
  const v1::Grant t_of_a = Open("a", "t")->grant();
  const auto backup = cluster_.store;
  ASSERT_TRUE(cluster_.Release("b", s_of_b).ok());
  ASSERT_TRUE(cluster_.Release("a", t_of_a).ok());
  const v1::Grant s_of_a = Open("a", "s")->grant();
  const v1::Grant t_of_b = Open("b", "t")->grant();
  cluster_.Restore(backup);
  // Neither has to wait for the other.
  ASSERT_TRUE(Register("a", {Held(s_of_a)}).ok());
  ASSERT_TRUE(Register("b", {Held(t_of_b)}).ok());
  EXPECT_EQ(Holders(1), std::vector<std::string>{"a"});
  EXPECT_EQ(Holders(2), std::vector<std::string>{"b"});
  EXPECT_EQ(cluster_.state().grants.size(), 2u);
}

// As a kernel does that lost it with its lease, and was not told yet.
TEST_F(RecoveryTest, AGrantUnderAnEarlierTokenIsOverIfAnotherHasALaterOne) {
  const v1::Grant before = Open("b", "s")->grant();
  const auto backup = cluster_.store;
  ASSERT_TRUE(cluster_.Release("b", before).ok());
  const v1::Grant grant = Open("a", "s")->grant();
  for (const bool recorded : {true, false}) {
    SCOPED_TRACE(recorded);
    auto restored = backup;
    if (!recorded) restored.erase(keys::Grant(SegmentId(1), "b"));
    cluster_.Restore(restored);
    ASSERT_TRUE(Register("a", {Held(grant)}).ok());
    ASSERT_TRUE(Register("b", {Held(before)}).ok());
    EXPECT_EQ(Holders(), std::vector<std::string>{"a"});
    EXPECT_FALSE(cluster_.assigned["b"].contains("grant/1")) << "it is to let go";
  }
}

TEST_F(RecoveryTest, AHostIsKeptOutIfAnotherWasConfirmedWhatItHas) {
  const v1::Grant before = Open("b", "s")->grant();
  const auto backup = cluster_.store;
  ASSERT_TRUE(cluster_.Release("b", before).ok());
  const v1::Grant grant = Open("a", "s")->grant();
  cluster_.Restore(backup);
  ASSERT_TRUE(Register("b", {Held(before)}).ok());
  const absl::Status refused = Register("a", {Held(grant)});
  EXPECT_EQ(ReasonOf(refused), v1::RECOVERING);
  EXPECT_NE(refused.message().find("hosts/b"), std::string::npos) << refused;
  ASSERT_TRUE(cluster_.Release("b", before).ok());
  EXPECT_TRUE(Register("a", {Held(grant)}).ok());
  EXPECT_EQ(Holders(), std::vector<std::string>{"a"});
}

TEST_F(RecoveryTest, ReadersDoNotKeepEachOtherOut) {
  ASSERT_TRUE(Open("b", "s", v1::READ_ONLY).ok());
  const v1::Grant of_b = GrantOf("b");
  const auto backup = cluster_.store;
  const v1::Grant grant = Open("a", "s", v1::READ_ONLY)->grant();
  cluster_.Restore(backup);
  ASSERT_TRUE(Register("b", {Held(of_b)}).ok());
  EXPECT_TRUE(Register("a", {Held(grant)}).ok());
  EXPECT_EQ(Holders(), (std::vector<std::string>{"a", "b"}));
}

TEST_F(RecoveryTest, ADrainedHostIsToldToLetGoOfWhatItBrings) {
  v1::DrainHostRequest drain;
  drain.set_name("hosts/a");
  ASSERT_TRUE(cluster_.Call(DrainHost, drain).ok());
  const auto backup = cluster_.store;
  v1::UndrainHostRequest undrain;
  undrain.set_name("hosts/a");
  ASSERT_TRUE(cluster_.Call(UndrainHost, undrain).ok());
  const v1::Grant grant = Open("a", "s")->grant();
  cluster_.Restore(backup);
  ASSERT_TRUE(Register("a", {Held(grant)}).ok());
  EXPECT_EQ(GrantOf("a").state(), v1::GRANT_REVOKING);
}

TEST_F(RecoveryTest, ATokenThatNoClusterGaveOutIsRefused) {
  v1::HeldGrant held;
  held.set_segment_id(1);
  held.mutable_token()->set_epoch(uint64_t{1} << 40);
  EXPECT_EQ(ReasonOf(Register("a", {held})), v1::BAD_ARGUMENT);
}

// More than a transaction of any store takes is not brought in at once; what fits is.
TEST(RecoveryLimitsTest, WhatOneRegistrationBringsIsBounded) {
  constexpr int kSegments = 520;
  TestCluster cluster;
  cluster.AddDevice(2 * kSegments);
  cluster.RegisterHost("a");
  cluster.MakePool("fam");
  for (int i = 0; i < kSegments; ++i) {
    ASSERT_TRUE(cluster.Create("fam", absl::StrCat("s", i), 2).ok());
  }
  const auto backup = cluster.store;
  v1::Register request = cluster.RegisterRequest("a", 1, 2);
  for (int i = 0; i < kSegments; ++i) {
    const auto acquired =
        cluster.Acquire("a", absl::StrCat("pools/fam/segments/s", i), v1::READ_WRITE);
    ASSERT_TRUE(acquired.ok());
    v1::HeldGrant& held = *request.add_held();
    held.set_segment_id(acquired->grant().segment_id());
    *held.mutable_token() = acquired->grant().token();
    held.set_mode(v1::READ_WRITE);
  }
  cluster.Restore(backup);
  EXPECT_EQ(ReasonOf(cluster.TryRegister(request).status()), v1::RECOVERING);
  EXPECT_TRUE(cluster.state().grants.empty());
  request.mutable_held()->DeleteSubrange(500, kSegments - 500);
  Changes changes;
  ASSERT_TRUE(weft::Register(cluster.state(), cluster.Admin(), request, changes).ok());
  EXPECT_EQ(cluster.state().grants.size(), 500u);
  EXPECT_LT(changes.mutations.size(), 3'000u);
}

// One scrub of all holes would be written anew with every report of its progress.
TEST(RecoveryLimitsTest, ADeviceWithManyHolesIsZeroedInParts) {
  constexpr uint64_t kHoles = 2500;
  CoreOptions options;
  options.max_segment_extents = 2 * kHoles;
  TestCluster cluster(options);
  const std::string device = cluster.AddDevice(4 * kHoles);
  cluster.RegisterHost("a");
  cluster.MakePool("fam");
  v1::CreateSegmentRequest create;
  create.set_parent("pools/fam");
  create.set_segment_id("s");
  create.mutable_segment()->set_size_bytes(kHoles * 2 * kMi);
  for (uint64_t i = 0; i < kHoles; ++i) {
    v1::Extent& extent = *create.add_extents();
    extent.set_device(device);
    extent.set_offset_bytes((1 + 2 * i) * 2 * kMi);
    extent.set_length_bytes(2 * kMi);
  }
  ASSERT_TRUE(cluster.Call(CreateSegment, create).ok());
  cluster.Restore(cluster.store);
  cluster.RegisterHost("a", 1, 2);
  int ticks = 0;
  for (; StatusOf(cluster.state()).devices_recovering() > 0; ++ticks) {
    cluster.Run([](State& state, const Context& context, Changes& changes) {
      const absl::Duration next = Tick(state, context, changes);
      for (const auto& [key, value] : changes.mutations) {
        EXPECT_LT(value.value_or("").size(), size_t{128} << 10) << key;
      }
      return next;
    });
    EXPECT_EQ(UsageOf(cluster.state(), *cluster.state().pools.at("fam")).free_bytes(), 0u);
    cluster.Restart();  // and goes on where it was
    ASSERT_LT(ticks, 10);
  }
  EXPECT_GT(ticks, 1);
  cluster.RegisterHost("a", 1, 3);
  cluster.Settle();
  EXPECT_EQ(UsageOf(cluster.state(), *cluster.state().pools.at("fam")).free_bytes(),
            kHoles * 2 * kMi);
}

TEST_F(RecoveryTest, BytesThatTheBackupDoesNotKnowToBeUsedStayUnused) {
  const auto backup = cluster_.store;
  ASSERT_TRUE(cluster_.Create("fam", "unknown", 4).ok());
  const v1::Grant grant = Open("a", "unknown")->grant();
  cluster_.Restore(backup);
  const absl::Status refused = Register("a", {Held(grant)});
  EXPECT_EQ(ReasonOf(refused), v1::RECOVERING);
  EXPECT_NE(refused.message().find("segment 2"), std::string::npos) << refused;
  ASSERT_TRUE(Register("b").ok());
  EXPECT_EQ(CreateNow("t"), v1::RECOVERING) << "a still maps what would be taken";
  ASSERT_TRUE(Register("a").ok()) << "its programs have ended";
  cluster_.Settle();
  ASSERT_TRUE(cluster_.Create("fam", "t", 2).ok());
  EXPECT_GT(cluster_.state().segments.at({"fam", "t"}).segment().id(), 2u) << "an id is used again";
}

TEST_F(RecoveryTest, TheEpochIsAboveEveryTokenThatAHostHas) {
  cluster_.Restore(cluster_.store);
  EXPECT_EQ(cluster_.state().cluster.epoch(), 2u);
  ASSERT_TRUE(Register("b").ok());
  v1::HeldGrant held;
  held.set_segment_id(1);
  held.mutable_token()->set_epoch(7);  // of an earlier restore of the same backup
  ASSERT_TRUE(Register("a", {held}).ok());
  EXPECT_EQ(cluster_.state().cluster.epoch(), 8u);
  cluster_.Restart();
  EXPECT_EQ(cluster_.state().cluster.epoch(), 8u);
}

TEST_F(RecoveryTest, DevicesAreProvedAnewWhateverWasLeftOnThem) {
  const auto backup = cluster_.store;
  cluster_.RegisterHost("a", 1, 7);  // leaves another nonce
  cluster_.Settle();
  cluster_.Restore(backup);
  ASSERT_TRUE(Register("a").ok());
  ASSERT_TRUE(Register("b").ok());
  cluster_.Settle();
  EXPECT_EQ(cluster_.state()
                .devices.at(*FindDevice(cluster_.state(), device_))
                .attachments.at("a")
                .attachment()
                .state(),
            v1::ATTACHMENT_ATTACHED);
}

}  // namespace
}  // namespace weft
