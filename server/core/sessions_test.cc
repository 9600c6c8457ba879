#include "server/core/sessions.h"

#include <algorithm>
#include <string>

#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/errors.h"
#include "server/core/fencing.h"
#include "server/core/grants.h"

namespace weft {
namespace {

class SessionsTest : public testing::Test {
 protected:
  SessionsTest() { cluster_.AddDevice(64); }

  void MakeSegment() {
    cluster_.MakePool("fam");
    ASSERT_TRUE(cluster_.Create("fam", "s", 2).ok());
  }
  absl::Status RenewNow(const std::string& host) {
    return Renew(cluster_.state(), cluster_.now, host, cluster_.sessions[host]);
  }
  v1::Host Get(const std::string& host) {
    v1::GetHostRequest request;
    request.set_name("hosts/" + host);
    return *GetHost(cluster_.state(), cluster_.now, request);
  }
  absl::StatusOr<v1::Host> ConfirmPoweredOff(const std::string& host) {
    v1::FenceHostRequest request;
    request.set_name("hosts/" + host);
    request.set_confirm_powered_off(true);
    return cluster_.Call(FenceHost, request);
  }
  bool Holds(const std::string& host) { return Get(host).grants() > 0; }

  TestCluster cluster_;
  const std::string segment_ = "pools/fam/segments/s";
};

// T = 10 s, B = 1 s: (T + B)(1 + 1000 ppm) = 11.011 s.
TEST_F(SessionsTest, ExpiresAfterTtlAndBoundAndDrift) {
  cluster_.RegisterHost("a");
  cluster_.Advance(absl::Milliseconds(11'010));
  cluster_.TickAll();
  EXPECT_EQ(Get("a").state(), v1::HOST_ALIVE);
  ASSERT_TRUE(RenewNow("a").ok());
  cluster_.Advance(absl::Milliseconds(11'010));
  cluster_.TickAll();
  EXPECT_EQ(Get("a").state(), v1::HOST_ALIVE) << "the renewal counted";
  cluster_.Advance(absl::Milliseconds(2));
  cluster_.TickAll();
  EXPECT_EQ(Get("a").state(), v1::HOST_DOWN);
  EXPECT_EQ(ReasonOf(RenewNow("a")), v1::SESSION_EXPIRED);
}

// Else the next Tick would be due at once, again and again, for as long as a clock stands still.
TEST_F(SessionsTest, ExpiresAtTheMomentThatTickNames) {
  cluster_.RegisterHost("a");
  const auto tick = [this] {
    return cluster_.Run([](State& state, const Context& context, Changes& changes) {
      return Tick(state, context, changes);
    });
  };
  cluster_.Advance(absl::Milliseconds(11'000));
  cluster_.Advance(tick() - cluster_.now.monotonic);
  tick();
  EXPECT_EQ(Get("a").state(), v1::HOST_DOWN);
  EXPECT_GT(tick(), cluster_.now.monotonic);
}

TEST_F(SessionsTest, ARestartedCoordinatorExpiresNobodyBeforeAWholeLease) {
  cluster_.RegisterHost("a");
  cluster_.Advance(absl::Seconds(10));
  cluster_.Restart();
  cluster_.Advance(absl::Seconds(10));
  cluster_.TickAll();
  EXPECT_EQ(Get("a").state(), v1::HOST_ALIVE);
  EXPECT_TRUE(RenewNow("a").ok()) << "the session id is durable";
  cluster_.Advance(absl::Seconds(12));
  cluster_.TickAll();
  EXPECT_EQ(Get("a").state(), v1::HOST_DOWN);
}

TEST_F(SessionsTest, SameBootWithinTheLeaseGoesOn) {
  const std::string session = cluster_.RegisterHost("a");
  MakeSegment();
  ASSERT_TRUE(cluster_.Acquire("a", segment_, v1::READ_WRITE).ok());
  EXPECT_EQ(cluster_.RegisterHost("a"), session);
  cluster_.RegisterHost("a", 1, /*instance=*/2);
  EXPECT_TRUE(Holds("a"));
  EXPECT_TRUE(cluster_.assigned["a"].contains("grant/1"));
}

TEST_F(SessionsTest, WhatADaemonThatIsGoneSentIsRefusedWhenItComesLate) {
  cluster_.RegisterHost("a");
  MakeSegment();
  const auto granted = cluster_.Acquire("a", segment_, v1::READ_WRITE);
  ASSERT_TRUE(granted.ok()) << granted.status();
  const std::string before = cluster_.sessions["a"];
  const std::string session = cluster_.RegisterHost("a", 1, /*instance=*/2);
  cluster_.sessions["a"] = before;
  EXPECT_EQ(ReasonOf(cluster_.Release("a", granted->grant())), v1::SESSION_EXPIRED);
  EXPECT_TRUE(Holds("a"));
  cluster_.sessions["a"] = session;
  EXPECT_TRUE(cluster_.Release("a", granted->grant()).ok());
  EXPECT_FALSE(Holds("a"));
}

TEST_F(SessionsTest, ExpiryFreesWhatARevokingHostHeld) {
  cluster_.RegisterHost("a", 1, 1, {}, /*can_revoke=*/true);
  cluster_.RegisterHost("b", 1, 1, {}, /*can_revoke=*/true);
  MakeSegment();
  ASSERT_TRUE(cluster_.Acquire("a", segment_, v1::READ_WRITE).ok());
  EXPECT_EQ(ReasonOf(cluster_.Acquire("b", segment_, v1::READ_WRITE).status()), v1::HELD);
  cluster_.Advance(absl::Seconds(6));
  ASSERT_TRUE(RenewNow("b").ok());
  cluster_.Advance(absl::Seconds(6));
  cluster_.TickAll();
  EXPECT_EQ(Get("a").state(), v1::HOST_DOWN);
  EXPECT_TRUE(cluster_.Acquire("b", segment_, v1::READ_WRITE).ok());
}

TEST_F(SessionsTest, AHostThatCannotRevokeKeepsItsGrantsUntilProof) {
  cluster_.RegisterHost("a");
  cluster_.RegisterHost("b");
  MakeSegment();
  ASSERT_TRUE(cluster_.Acquire("a", segment_, v1::READ_WRITE).ok());
  const auto expire_a = [&] {
    cluster_.Advance(absl::Seconds(6));
    ASSERT_TRUE(RenewNow("b").ok());
    cluster_.Advance(absl::Seconds(6));
    cluster_.TickAll();
  };
  expire_a();
  EXPECT_EQ(Get("a").state(), v1::HOST_UNCERTAIN);
  EXPECT_EQ(ReasonOf(cluster_.Acquire("b", segment_, v1::READ_WRITE).status()), v1::HELD);
  cluster_.Restart();
  EXPECT_EQ(Get("a").state(), v1::HOST_UNCERTAIN) << "a restart proves nothing";

  // Its own word, that it holds the segment still.
  v1::HeldGrant held;
  held.set_segment_id(1);
  *held.mutable_token() = cluster_.state().grants.begin()->second.grant().token();
  cluster_.RegisterHost("a", 1, 2, {held});
  EXPECT_TRUE(Holds("a"));

  // Its own word, that it does not.
  expire_a();
  cluster_.RegisterHost("a", 1, 3);
  EXPECT_FALSE(Holds("a"));
  cluster_.Settle();

  // A reboot.
  ASSERT_TRUE(cluster_.Acquire("a", segment_, v1::READ_WRITE).ok());
  expire_a();
  EXPECT_TRUE(Holds("a"));
  cluster_.RegisterHost("a", /*boot=*/2, 1);
  EXPECT_FALSE(Holds("a"));
  cluster_.Settle();

  // An operator.
  ASSERT_TRUE(cluster_.Acquire("a", segment_, v1::READ_WRITE).ok());
  EXPECT_EQ(ReasonOf(ConfirmPoweredOff("a").status()), v1::IN_USE) << "it is alive";
  expire_a();
  ASSERT_TRUE(ConfirmPoweredOff("a").ok());
  EXPECT_FALSE(Holds("a"));
  EXPECT_EQ(Get("a").state(), v1::HOST_DOWN);
}

TEST_F(SessionsTest, WhatAHostMapsUnderAnOlderTokenIsHeld) {
  cluster_.RegisterHost("a");
  MakeSegment();
  ASSERT_TRUE(cluster_.Acquire("a", segment_, v1::READ_WRITE).ok());
  cluster_.Advance(absl::Seconds(12));
  cluster_.TickAll();
  v1::HeldGrant held;
  held.set_segment_id(1);
  held.mutable_token()->set_epoch(1);
  cluster_.RegisterHost("a", 1, 2, {held});
  EXPECT_TRUE(Holds("a"));
}

TEST_F(SessionsTest, ASecondMachineWithTheSameIdIsRefusedWhileTheFirstLives) {
  cluster_.RegisterHost("a", /*boot=*/1);
  EXPECT_EQ(ReasonOf(cluster_.TryRegister(cluster_.RegisterRequest("a", 2, 1)).status()),
            v1::IN_USE);
  cluster_.Advance(absl::Seconds(12));
  cluster_.TickAll();
  EXPECT_TRUE(cluster_.TryRegister(cluster_.RegisterRequest("a", 2, 1)).ok());
}

TEST_F(SessionsTest, RefusesBadRegistrationsAndChangesNothing) {
  const v1::Register good = cluster_.RegisterRequest("a", 1, 1);
  const auto before = cluster_.store;
  const auto refusal = [&](auto change) {
    v1::Register bad = good;
    change(bad);
    return ReasonOf(cluster_.TryRegister(bad).status());
  };
  EXPECT_EQ(refusal([](auto& r) { r.set_protocol_version(kSessionProtocolVersion + 1); }),
            v1::VERSION_TOO_NEW);
  EXPECT_EQ(refusal([](auto& r) { r.set_host_id("A"); }), v1::BAD_NAME);
  EXPECT_EQ(refusal([](auto& r) { r.clear_boot_id(); }), v1::BAD_ARGUMENT);
  EXPECT_EQ(refusal([](auto& r) { r.clear_backend(); }), v1::BAD_ARGUMENT);
  EXPECT_EQ(refusal([](auto& r) { r.set_revoke_bound_ms(600'001); }), v1::BAD_ARGUMENT);
  EXPECT_EQ(refusal([](auto& r) {
              r.set_trust_expiry(true);
              r.set_backend(v1::DEVDAX);
            }),
            v1::BAD_ARGUMENT);
  EXPECT_EQ(cluster_.store, before);
}

TEST_F(SessionsTest, ALargerBoundIsDurable) {
  cluster_.RegisterHost("a");
  v1::Register request = cluster_.RegisterRequest("a", 1, 1);
  request.set_revoke_bound_ms(60'000);
  ASSERT_TRUE(cluster_.TryRegister(request).ok());
  cluster_.Restart();
  cluster_.Advance(absl::Seconds(69));
  cluster_.TickAll();
  EXPECT_EQ(Get("a").state(), v1::HOST_ALIVE);
}

TEST_F(SessionsTest, ReportsNeedASessionAndMustBeReports) {
  cluster_.RegisterHost("a");
  const auto report = [&](const std::string& session, const v1::NodeMessage& message) {
    return ReasonOf(cluster_.Run([&](State& state, const Context& context, Changes& changes) {
      return TakeReport(state, context, "a", session, message, changes);
    }));
  };
  v1::NodeMessage message;
  EXPECT_EQ(report(cluster_.sessions["a"], message), v1::REASON_UNSPECIFIED) << "of a newer weftd";
  message.mutable_register_();
  EXPECT_EQ(report(cluster_.sessions["a"], message), v1::BAD_ARGUMENT);
  message.mutable_scrub_progress()->set_scrub_id(7);
  EXPECT_EQ(report("1.99", message), v1::SESSION_EXPIRED);
  EXPECT_EQ(report(cluster_.sessions["a"], message), v1::REASON_UNSPECIFIED);
}

TEST_F(SessionsTest, TrustedExpiryFreesAnEmulatedHost) {
  v1::Register request = cluster_.RegisterRequest("a", 1, 1);
  request.set_trust_expiry(true);
  ASSERT_TRUE(cluster_.TryRegister(request).ok());
  MakeSegment();
  ASSERT_TRUE(cluster_.Acquire("a", segment_, v1::READ_WRITE).ok());
  cluster_.Advance(absl::Seconds(12));
  cluster_.TickAll();
  EXPECT_EQ(Get("a").state(), v1::HOST_DOWN);
  EXPECT_FALSE(Holds("a"));
}

TEST_F(SessionsTest, ASessionThatGoesOnKeepsItsBound) {
  v1::Register request = cluster_.RegisterRequest("a", 1, 1);
  request.set_revoke_bound_ms(60'000);
  ASSERT_TRUE(cluster_.TryRegister(request).ok());
  request.set_revoke_bound_ms(0);
  const auto registered = cluster_.TryRegister(request);
  ASSERT_TRUE(registered.ok());
  EXPECT_EQ(registered->revoke_bound_ms(), 60'000u);
  cluster_.Advance(absl::Seconds(69));
  cluster_.TickAll();
  EXPECT_EQ(Get("a").state(), v1::HOST_ALIVE);
}

TEST_F(SessionsTest, AnotherBackendDoesNotMakeOldMappingsRevocable) {
  cluster_.RegisterHost("a", 1, 1, {}, /*can_revoke=*/false);
  MakeSegment();
  ASSERT_TRUE(cluster_.Acquire("a", segment_, v1::READ_WRITE).ok());
  cluster_.RegisterHost("a", 1, 2, {}, /*can_revoke=*/true);
  cluster_.Advance(absl::Seconds(12));
  cluster_.TickAll();
  EXPECT_EQ(Get("a").state(), v1::HOST_UNCERTAIN);
  EXPECT_TRUE(Holds("a"));
}

TEST_F(SessionsTest, TextsAndTheNumberOfHostsAreLimited) {
  v1::Register request = cluster_.RegisterRequest("a", 1, 1);
  request.set_weftd_version(std::string(257, 'v'));
  EXPECT_EQ(ReasonOf(cluster_.TryRegister(request).status()), v1::BAD_ARGUMENT);
  CoreOptions options;
  options.max_hosts = 1;
  TestCluster small(options);
  small.RegisterHost("a");
  EXPECT_EQ(ReasonOf(small.TryRegister(small.RegisterRequest("b", 1, 1)).status()), v1::QUOTA);
  EXPECT_TRUE(small.TryRegister(small.RegisterRequest("a", 1, 2)).ok());
}

// One transaction of a store holds only so much; the host's word or expiry may free more.
TEST_F(SessionsTest, AThousandGrantsAreFreedInTransactionsOfABoundedSize) {
  cluster_.AddDevice(4096);
  cluster_.RegisterHost("a", 1, 1, {}, /*can_revoke=*/true);
  cluster_.RegisterHost("b", 1, 1, {}, /*can_revoke=*/true);
  cluster_.MakePool("fam");
  const auto name = [](int i) { return "s" + std::to_string(i); };
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(cluster_.Create("fam", name(i), 2).ok());
    ASSERT_TRUE(cluster_.Acquire("a", "pools/fam/segments/" + name(i), v1::READ_WRITE).ok());
  }
  ASSERT_TRUE(cluster_.Delete("pools/fam/segments/s1", /*force=*/true).ok());
  cluster_.Advance(absl::Seconds(9));
  ASSERT_TRUE(RenewNow("b").ok());
  cluster_.Advance(absl::Seconds(5));

  size_t largest = 0;
  const auto tick = [&] {
    return cluster_.Run([&](State& state, const Context& context, Changes& changes) {
      const absl::Duration next = Tick(state, context, changes);
      largest = std::max(largest, changes.mutations.size());
      return next;
    });
  };
  tick();
  EXPECT_FALSE(Holds("a"));
  EXPECT_TRUE(cluster_.Acquire("b", "pools/fam/segments/s999", v1::READ_WRITE).ok())
      << "what waits to be dropped excludes nobody";
  EXPECT_TRUE(cluster_.Delete("pools/fam/segments/s998").ok());
  tick();
  cluster_.Restart();  // expires nobody, and forgets nothing of what is left
  EXPECT_FALSE(Holds("a"));
  while (tick() <= cluster_.now.monotonic) {
  }
  EXPECT_LT(largest, 128u);
  EXPECT_EQ(cluster_.state().grants.size(), 1u);
  EXPECT_EQ(cluster_.state().segments.size(), 998u);
}

}  // namespace
}  // namespace weft
