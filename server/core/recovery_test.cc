#include "server/core/recovery.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/errors.h"
#include "server/core/fencing.h"
#include "server/core/grants.h"
#include "server/core/lookup.h"
#include "server/core/pools.h"
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

  absl::StatusOr<v1::AcquireGrantResponse> Open(const std::string& host, const std::string& name) {
    return cluster_.Acquire(host, "pools/fam/segments/" + name, v1::READ_WRITE);
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
  const v1::Grant& now = cluster_.state().grants.at({SegmentId(1), "a"}).grant();
  EXPECT_GT(FromProto(now.token()), FromProto(grant.token()));
  ASSERT_TRUE(cluster_.Release("a", now).ok());
  EXPECT_TRUE(Open("b", "s").ok());
}

TEST_F(RecoveryTest, AHostThatTheBackupCallsAHolderIsAwaitedFirst) {
  const v1::Grant before = Open("b", "s")->grant();
  const auto backup = cluster_.store;
  ASSERT_TRUE(cluster_.Release("b", before).ok());
  const v1::Grant grant = Open("a", "s")->grant();
  cluster_.Restore(backup);
  EXPECT_EQ(ReasonOf(Register("a", {Held(grant)})), v1::RECOVERING) << "b may hold it";
  ASSERT_TRUE(Register("b").ok());
  EXPECT_TRUE(Register("a", {Held(grant)}).ok());
  EXPECT_EQ(HoldersOf(cluster_.state(), SegmentId(1)), std::vector<std::string>{"a"});
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
