#include "server/core/strays.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/drain.h"
#include "server/core/errors.h"
#include "server/core/fencing.h"
#include "server/core/fsck.h"
#include "server/core/lookup.h"
#include "server/core/pools.h"
#include "server/core/status.h"

namespace weft {
namespace {

constexpr uint64_t kMi = 1 << 20;

v1::HeldGrant Describe(const v1::AcquireGrantResponse& acquired) {
  v1::HeldGrant held;
  held.set_segment_id(acquired.grant().segment_id());
  *held.mutable_token() = acquired.grant().token();
  held.set_mode(acquired.grant().mode());
  held.set_segment(acquired.segment().name());
  *held.mutable_runs() = acquired.segment().runs();
  held.set_size_bytes(acquired.segment().size_bytes());
  held.set_generation(acquired.segment().generation());
  return held;
}

// Hosts a and b share a device of 64 MiB; both hold "s", which was made after the backup. Then
// the backup is restored.
class StraysTest : public testing::Test {
 protected:
  StraysTest() {
    device_ = cluster_.AddDevice(64);
    cluster_.RegisterHost("a");
    cluster_.RegisterHost("b");
    cluster_.MakePool("fam");
    backup_ = cluster_.store;
    EXPECT_TRUE(cluster_.Create("fam", "s", 4).ok());
    held_ = Describe(*cluster_.Acquire("a", kSegment, v1::READ_WRITE));
    cluster_.Restore(backup_);
  }

  absl::Status Register(const std::string& host, const std::vector<v1::HeldGrant>& held = {},
                        int boot = 1, bool can_revoke = false) {
    v1::Register request = cluster_.RegisterRequest(host, boot, 2);
    request.set_can_revoke(can_revoke);
    for (const v1::HeldGrant& grant : held) *request.add_held() = grant;
    const absl::Status status = cluster_.TryRegister(request).status();
    cluster_.TickAll();
    return status;
  }
  // All that follows a restore is over.
  void Recover(bool can_revoke = false) {
    ASSERT_TRUE(Register("a", {held_}, 1, can_revoke).ok());
    ASSERT_TRUE(Register("b").ok());
    cluster_.Settle();
  }
  absl::Status Release() {
    v1::Grant grant;
    grant.set_segment_id(held_.segment_id());
    grant.set_segment(held_.segment());
    *grant.mutable_token() = held_.token();
    return cluster_.Release("a", grant);
  }
  v1::Usage UsageNow() { return UsageOf(cluster_.state(), *cluster_.state().pools.at("fam")); }
  size_t Strays() { return cluster_.state().strays.size(); }
  // Whether a new segment may get bytes of the stray.
  bool OverlapsStray(const v1::Segment& segment) {
    for (const Extent& extent : ExtentsOf(segment)) {
      for (const v1::Run& run : held_.runs()) {
        const Extent stray = FromProto(run.extents(0));
        if (extent.offset < stray.end() && stray.offset < extent.end()) return true;
      }
    }
    return false;
  }

  static constexpr char kSegment[] = "pools/fam/segments/s";
  TestCluster cluster_;
  std::string device_;
  std::map<std::string, std::string> backup_;
  v1::HeldGrant held_;
};

TEST_F(StraysTest, ItsBytesAreNobodysWhileTheHostHoldsIt) {
  Recover();
  EXPECT_EQ(Strays(), 1u);
  EXPECT_EQ(StatusOf(cluster_.state()).strays(), 1u);
  EXPECT_EQ(UsageNow().quarantined_bytes(), 4 * kMi);
  EXPECT_EQ(UsageNow().free_bytes(), 60 * kMi);
  EXPECT_EQ(ReasonOf(cluster_.Create("fam", "t", 62).status()), v1::POOL_FULL);
  const auto all = cluster_.Create("fam", "t", 60);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_FALSE(OverlapsStray(*all));
}

TEST_F(StraysTest, NothingOfItIsZeroedBeforeTheHostHasLetGo) {
  cluster_.scrubbed.clear();
  Recover();
  const auto zeroes_stray = [&] {
    v1::Segment zeroed;
    for (const v1::Extent& extent : cluster_.scrubbed) {
      *zeroed.add_runs()->add_extents() = extent;
    }
    return OverlapsStray(zeroed);
  };
  EXPECT_FALSE(cluster_.scrubbed.empty());
  EXPECT_FALSE(zeroes_stray());
  ASSERT_TRUE(Release().ok());
  EXPECT_EQ(Strays(), 0u);
  EXPECT_EQ(UsageNow().scrubbing_bytes(), 4 * kMi);
  cluster_.Settle();
  EXPECT_TRUE(zeroes_stray());
  EXPECT_EQ(UsageNow().free_bytes(), 64 * kMi);
}

TEST_F(StraysTest, TheHostKeepsItUnderItsToken) {
  Recover();
  const v1::Grant& grant = cluster_.assigned["a"].at("grant/1").grant().grant();
  EXPECT_EQ(FromProto(grant.token()), FromProto(held_.token()));
  EXPECT_EQ(grant.state(), v1::GRANT_ACTIVE);
  EXPECT_EQ(ReasonOf(cluster_.Acquire("b", kSegment, v1::READ_ONLY).status()),
            v1::SEGMENT_NOT_FOUND);
}

TEST_F(StraysTest, ItSurvivesARestartAndASecondRestore) {
  Recover();
  cluster_.Restart();
  EXPECT_EQ(Strays(), 1u);
  EXPECT_EQ(UsageNow().quarantined_bytes(), 4 * kMi);
  EXPECT_EQ(cluster_.Load()->hosts.at("a").strays.size(), 1u);
  cluster_.Restore(cluster_.store);
  EXPECT_EQ(Strays(), 0u);
  Recover();
  EXPECT_EQ(UsageNow().quarantined_bytes(), 4 * kMi);
}

TEST_F(StraysTest, AnAdministratorTakesItBack) {
  Recover();
  v1::RepairRequest repair;
  repair.set_action(v1::REVOKE_STRAY);
  repair.set_host("hosts/a");
  repair.set_segment_id(held_.segment_id());
  const auto run = [&] { return cluster_.Call(Repair, repair); };
  ASSERT_TRUE(run().ok());
  EXPECT_TRUE(run().ok()) << "twice is once";
  EXPECT_EQ(cluster_.assigned["a"].at("grant/1").grant().grant().state(), v1::GRANT_REVOKING);
  EXPECT_EQ(Strays(), 1u) << "the host has not let go yet";
  ASSERT_TRUE(Release().ok());
  EXPECT_FALSE(cluster_.assigned["a"].contains("grant/1"));
  repair.set_segment_id(77);
  EXPECT_EQ(ReasonOf(run()), v1::SEGMENT_NOT_FOUND);
}

TEST_F(StraysTest, AnOlderTokenReleasesNothing) {
  Recover();
  held_.mutable_token()->set_counter(held_.token().counter() - 1);
  ASSERT_TRUE(Release().ok());
  EXPECT_EQ(Strays(), 1u);
}

TEST_F(StraysTest, AHostThatRegistersWithoutItHasLetGo) {
  Recover();
  ASSERT_TRUE(Register("a").ok());
  EXPECT_EQ(Strays(), 0u);
  EXPECT_EQ(UsageNow().quarantined_bytes(), 0u);
}

TEST_F(StraysTest, ARebootOrAFenceEndsIt) {
  Recover();
  cluster_.Advance(absl::Minutes(1));
  cluster_.TickAll();
  EXPECT_EQ(cluster_.state().hosts.at("a").record.host().state(), v1::HOST_UNCERTAIN);
  EXPECT_EQ(Strays(), 1u) << "a host that cannot revoke may map it still";
  v1::FenceHostRequest request;
  request.set_name("hosts/a");
  request.set_confirm_powered_off(true);
  ASSERT_TRUE(cluster_.Call(FenceHost, request).ok());
  cluster_.Restart();  // what was begun is not forgotten
  cluster_.TickAll();
  EXPECT_EQ(Strays(), 0u);
}

TEST_F(StraysTest, AHostThatCanRevokeLosesItWithItsLease) {
  Recover(/*can_revoke=*/true);
  cluster_.Advance(absl::Minutes(1));
  cluster_.TickAll();
  EXPECT_EQ(cluster_.state().hosts.at("a").record.host().state(), v1::HOST_DOWN);
  EXPECT_EQ(Strays(), 0u);
}

TEST_F(StraysTest, TwoHostsMayHoldTheSameOne) {
  ASSERT_TRUE(Register("a", {held_}).ok());
  ASSERT_TRUE(Register("b", {held_}).ok());
  cluster_.Settle();
  EXPECT_EQ(Strays(), 2u);
  EXPECT_EQ(UsageNow().quarantined_bytes(), 4 * kMi);
  ASSERT_TRUE(Release().ok());
  EXPECT_EQ(UsageNow().quarantined_bytes(), 4 * kMi) << "b holds it";
}

TEST_F(StraysTest, OneWhoseBytesHaveAnotherOwnerIsKeptOut) {
  ASSERT_TRUE(Register("a").ok());
  ASSERT_TRUE(Register("b").ok());
  cluster_.Settle();
  ASSERT_TRUE(cluster_.Create("fam", "t", 64).ok());
  const absl::Status refused = Register("a", {held_}, 1);
  EXPECT_EQ(ReasonOf(refused), v1::RECOVERING);
  EXPECT_NE(refused.message().find("another owner"), std::string::npos) << refused;
  EXPECT_EQ(Strays(), 0u);
}

TEST_F(StraysTest, OneThatIsNotDescribedIsKeptOut) {
  held_.clear_runs();
  EXPECT_EQ(ReasonOf(Register("a", {held_})), v1::RECOVERING);
  held_.add_runs()->add_extents()->set_device("devices/none");
  EXPECT_EQ(ReasonOf(Register("a", {held_})), v1::RECOVERING);
}

TEST(StraysLimitsTest, AHostComesBackWithAllThatItBrought) {
  constexpr size_t kStrays = 60;
  TestCluster cluster;
  cluster.AddDevice(2 * kStrays);
  cluster.RegisterHost("a");
  cluster.MakePool("fam");
  const auto backup = cluster.store;
  v1::Register request = cluster.RegisterRequest("a", 1, 2);
  for (size_t i = 0; i < kStrays; ++i) {
    const std::string id = absl::StrCat("s", i);
    ASSERT_TRUE(cluster.Create("fam", id, 2).ok());
    *request.add_held() =
        Describe(*cluster.Acquire("a", "pools/fam/segments/" + id, v1::READ_WRITE));
  }
  cluster.Restore(backup);
  for (int again = 0; again < 2; ++again) {
    const auto registered = cluster.TryRegister(request);
    ASSERT_TRUE(registered.ok()) << registered.status();
    cluster.TickAll();
    EXPECT_EQ(cluster.state().strays.size(), kStrays);
  }
}

TEST_F(StraysTest, ASegmentThatWasDeletedIsNoStray) {
  ASSERT_TRUE(Register("a").ok());
  ASSERT_TRUE(Register("b").ok());
  cluster_.Settle();
  ASSERT_TRUE(cluster_.Create("fam", "t", 2).ok());
  const v1::HeldGrant held =
      Describe(*cluster_.Acquire("a", "pools/fam/segments/t", v1::READ_WRITE));
  v1::Grant grant;
  grant.set_segment_id(held.segment_id());
  *grant.mutable_token() = held.token();
  ASSERT_TRUE(cluster_.Release("a", grant).ok());
  ASSERT_TRUE(cluster_.Delete("pools/fam/segments/t").ok());
  ASSERT_TRUE(Register("a", {held}).ok());
  EXPECT_EQ(Strays(), 0u);
}

TEST_F(StraysTest, ItsDeviceLeavesThePoolOnlyWithoutIt) {
  Recover();
  v1::DeletePoolRequest remove;
  remove.set_name("pools/fam");
  const auto run = [&] { return cluster_.Call(DeletePool, remove); };
  EXPECT_EQ(ReasonOf(run()), v1::IN_USE);
  ASSERT_TRUE(Release().ok());
  cluster_.Settle();
  EXPECT_TRUE(run().ok());
}

TEST_F(StraysTest, TheDeviceItIsOnCannotJoinAPool) {
  // Restored from before there was a pool.
  TestCluster cluster;
  const std::string device = cluster.AddDevice(64);
  cluster.RegisterHost("a");
  const auto backup = cluster.store;
  cluster.MakePool("fam");
  ASSERT_TRUE(cluster.Create("fam", "s", 4).ok());
  v1::Register request = cluster.RegisterRequest("a", 1, 2);
  *request.add_held() = Describe(*cluster.Acquire("a", kSegment, v1::READ_WRITE));
  cluster.Restore(backup);
  ASSERT_TRUE(cluster.TryRegister(request).ok());
  cluster.Settle();
  v1::CreatePoolRequest create;
  create.set_pool_id("new");
  create.add_devices(device);
  EXPECT_EQ(ReasonOf(cluster.Call(CreatePool, create).status()), v1::IN_USE);
}

}  // namespace
}  // namespace weft
