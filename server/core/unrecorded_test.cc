#include "server/core/unrecorded.h"

#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/devices.h"
#include "server/core/errors.h"
#include "server/core/quarantine.h"
#include "server/core/sessions.h"

namespace weft {
namespace {

constexpr uint64_t kMi = uint64_t{1} << 20;

class UnrecordedTest : public testing::Test {
 protected:
  UnrecordedTest() { device_ = cluster_.AddDevice(64); }

  // Loads the state again, while all hosts stay connected.
  void LoadAgain() {
    Unrecorded unrecorded = UnrecordedOf(cluster_.state());
    cluster_.Restart();
    TakeOver(std::move(unrecorded), cluster_.state());
    for (auto& [host, assigned] : cluster_.assigned) {
      assigned.clear();
      const v1::Assignments whole = WholeAssignments(cluster_.state(), host);
      for (const v1::Assignment& one : whole.upserts()) assigned[one.key()] = one;
    }
  }

  v1::HostState StateOf(const std::string& host) {
    return cluster_.state().hosts.at(host).record.host().state();
  }

  TestCluster cluster_;
  std::string device_;
};

// T + B and 1000 ppm are 11.011 s.
TEST_F(UnrecordedTest, LeasesEndWhenTheyWouldHaveEnded) {
  cluster_.RegisterHost("a");
  cluster_.Advance(absl::Seconds(6));
  cluster_.RegisterHost("b");
  LoadAgain();
  cluster_.Advance(absl::Milliseconds(5'010));
  cluster_.TickAll();
  EXPECT_EQ(StateOf("a"), v1::HOST_ALIVE);
  cluster_.Advance(absl::Milliseconds(2));
  cluster_.TickAll();
  EXPECT_EQ(StateOf("a"), v1::HOST_DOWN);
  EXPECT_EQ(StateOf("b"), v1::HOST_ALIVE);
}

TEST_F(UnrecordedTest, ALeaseThatEndedInVainGoesOnAnew) {
  cluster_.RegisterHost("a");
  cluster_.Advance(absl::Seconds(12));
  Changes lost;
  Tick(cluster_.state(), cluster_.Admin(), lost);
  ASSERT_FALSE(cluster_.state().hosts.at("a").session.has_value());
  LoadAgain();
  EXPECT_TRUE(Renew(cluster_.state(), cluster_.now, "a", cluster_.sessions["a"]).ok());
  cluster_.Advance(absl::Seconds(11));
  cluster_.TickAll();
  EXPECT_EQ(StateOf("a"), v1::HOST_ALIVE);
}

// The lease of a session that was never recorded is not another session's.
TEST_F(UnrecordedTest, TheLeaseOfAnotherSessionIsNotTakenOver) {
  cluster_.RegisterHost("a");
  Unrecorded unrecorded = UnrecordedOf(cluster_.state());
  unrecorded.leases.at("a").session_id = "1.99";
  unrecorded.leases.at("a").renewed_at = absl::ZeroDuration();
  cluster_.Restart();
  TakeOver(std::move(unrecorded), cluster_.state());
  cluster_.TickAll();
  EXPECT_EQ(StateOf("a"), v1::HOST_ALIVE);
}

TEST_F(UnrecordedTest, AProofUnderWayBeginsAnew) {
  cluster_.RegisterHost("a");
  cluster_.Settle();
  cluster_.RegisterHost("b");
  LoadAgain();
  cluster_.TickAll();
  cluster_.Settle();
  EXPECT_TRUE(CheckAttached(cluster_.state(), "b", *Uuid::Parse(device_.substr(8))).ok());
}

TEST_F(UnrecordedTest, WhatAHostFindsBadStaysBad) {
  cluster_.RegisterHost("a");
  cluster_.MakePool("fam");
  ASSERT_TRUE(cluster_.Create("fam", "s", 60).ok());
  v1::Register again = cluster_.RegisterRequest("a", 1, 1);
  v1::ByteRange& bad = *again.mutable_devices()->mutable_devices(0)->add_bad_ranges();
  bad.set_offset_bytes(4 * kMi);
  bad.set_length_bytes(4096);
  ASSERT_TRUE(cluster_.TryRegister(again).ok());
  LoadAgain();
  v1::ClearPoisonRequest request;
  request.set_name(device_);
  const auto cleared = cluster_.Run([&](State& state, const Context& context, Changes& changes) {
    return ClearPoison(state, context, request, changes);
  });
  EXPECT_EQ(ReasonOf(cleared.status()), v1::POISONED);
}

TEST_F(UnrecordedTest, ResumingChangesNothingDurable) {
  const std::string session = cluster_.RegisterHost("a");
  cluster_.Settle();
  cluster_.Advance(absl::Seconds(8));
  v1::Register again = cluster_.RegisterRequest("a", 1, 1);
  again.set_revoke_bound_ms(5000);
  again.clear_devices();
  const auto resumed = Resume(cluster_.state(), cluster_.now, again);
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_EQ(resumed->session_id(), session);
  EXPECT_EQ(resumed->revoke_bound_ms(), 1000u);
  EXPECT_EQ(cluster_.state().hosts.at("a").session->renewed_at, cluster_.now.monotonic);
  EXPECT_TRUE(CheckAttached(cluster_.state(), "a", *Uuid::Parse(device_.substr(8))).ok());
}

TEST_F(UnrecordedTest, OnlyTheSameRunOfTheDaemonResumes) {
  const auto resume = [&](const v1::Register& request) {
    return ReasonOf(Resume(cluster_.state(), cluster_.now, request).status());
  };
  EXPECT_EQ(resume(cluster_.RegisterRequest("a", 1, 1)), v1::STORE_FULL);
  cluster_.RegisterHost("a");
  EXPECT_EQ(resume(cluster_.RegisterRequest("a", 1, 1)), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(resume(cluster_.RegisterRequest("a", 1, 2)), v1::STORE_FULL);
  EXPECT_EQ(resume(cluster_.RegisterRequest("a", 2, 1)), v1::STORE_FULL);
  cluster_.Advance(absl::Minutes(1));
  cluster_.TickAll();
  EXPECT_EQ(resume(cluster_.RegisterRequest("a", 1, 1)), v1::STORE_FULL);
}

}  // namespace
}  // namespace weft
