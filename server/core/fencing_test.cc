#include "server/core/fencing.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/errors.h"
#include "server/core/pools.h"
#include "server/core/segments.h"

namespace weft {
namespace {

class FencingTest : public testing::Test {
 protected:
  FencingTest() : cluster_(Options()) {
    cluster_.AddDevice(64);
    cluster_.AddDevice(64);
  }

  CoreOptions Options() {
    CoreOptions options;
    options.has_fence_agent = [this](const std::string& host) { return agents_.contains(host); };
    return options;
  }

  // Hosts a and b, which can revoke; pool `agent` on the first device, `lease` on the second.
  void Start(bool can_revoke = true) {
    for (const char* host : {"a", "b"}) cluster_.RegisterHost(host, 1, 1, {}, can_revoke);
    MakePool("agent", 0, v1::AGENT);
    MakePool("lease", 1, v1::LEASE);
    cluster_.Settle();
    for (const char* pool : {"agent", "lease"}) ASSERT_TRUE(cluster_.Create(pool, "s", 2).ok());
  }
  void MakePool(const std::string& id, size_t device, v1::FencingPolicy fencing) {
    v1::CreatePoolRequest request;
    request.set_pool_id(id);
    request.mutable_pool()->set_fencing(fencing);
    request.add_devices("devices/" + cluster_.devices[device].uuid());
    const auto created = cluster_.Call(CreatePool, request);
    ASSERT_TRUE(created.ok()) << created.status();
    EXPECT_EQ(created->fencing(), fencing);
  }

  absl::Status Open(const std::string& host, const std::string& pool) {
    return cluster_.Acquire(host, "pools/" + pool + "/segments/s", v1::READ_WRITE).status();
  }
  // b goes on renewing.
  void ExpireA() {
    for (int i = 0; i < 2; ++i) {
      cluster_.Advance(absl::Seconds(6));
      ASSERT_TRUE(Renew(cluster_.state(), cluster_.now, "b", cluster_.sessions["b"]).ok());
    }
    cluster_.TickAll();
  }
  v1::Host Get(const std::string& host) {
    v1::GetHostRequest request;
    request.set_name("hosts/" + host);
    return *GetHost(cluster_.state(), cluster_.now, request);
  }
  absl::StatusOr<v1::Host> Fence(const std::string& host, bool force = false,
                                 bool confirm = false) {
    v1::FenceHostRequest request;
    request.set_name("hosts/" + host);
    request.set_force(force);
    request.set_confirm_powered_off(confirm);
    return cluster_.Call(FenceHost, request);
  }
  void Report(const FenceOrder& order, const std::string& failure = "") {
    (void)cluster_.Run([&](State& state, const Context& context, Changes& changes) {
      TakeFenceResult(state, context, order, failure, changes);
      return absl::OkStatus();
    });
    cluster_.TickAll();
  }
  std::vector<FenceOrder> Orders() { return FenceOrders(cluster_.state()); }
  size_t Count(v1::EventType type) {
    return static_cast<size_t>(
        std::count_if(cluster_.events.begin(), cluster_.events.end(),
                      [&](const v1::Event& event) { return event.type() == type; }));
  }
  v1::Reason RegisterAgain(int boot) {
    return ReasonOf(cluster_.TryRegister(cluster_.RegisterRequest("a", boot, 1)).status());
  }

  std::set<std::string> agents_ = {"a", "b"};
  TestCluster cluster_;
};

TEST_F(FencingTest, ThePolicyOfThePoolSaysWhatTheLeaseProves) {
  Start();
  ASSERT_TRUE(Open("a", "agent").ok());
  ASSERT_TRUE(Open("a", "lease").ok());
  ExpireA();
  EXPECT_EQ(Get("a").state(), v1::HOST_FENCING);
  EXPECT_TRUE(Open("b", "lease").ok());
  const absl::Status held = Open("b", "agent");
  EXPECT_EQ(ReasonOf(held), v1::HELD);
  EXPECT_NE(held.message().find("being fenced"), std::string::npos) << held;
  ASSERT_EQ(Orders().size(), 1u);
  Report(Orders()[0]);
  EXPECT_EQ(Get("a").state(), v1::HOST_DOWN);
  EXPECT_TRUE(Open("b", "agent").ok());
  EXPECT_TRUE(Orders().empty());
}

TEST_F(FencingTest, NobodyIsFencedForWhatHeDoesNotHold) {
  Start();
  ASSERT_TRUE(Open("a", "lease").ok());
  ExpireA();
  EXPECT_EQ(Get("a").state(), v1::HOST_DOWN);
  EXPECT_TRUE(Orders().empty());
}

TEST_F(FencingTest, AScrubInAnAgentPoolWaitsForTheAgentToo) {
  Start();
  cluster_.frozen = {"a", "b"};
  for (int i = 0; i < 2; ++i) {
    const std::string name = "t" + std::to_string(i);
    ASSERT_TRUE(cluster_.Create("agent", name, 2).ok());
    ASSERT_TRUE(cluster_.Delete("pools/agent/segments/" + name).ok());
  }
  ASSERT_TRUE(cluster_.assigned["a"].contains("scrub/3"));
  ExpireA();
  EXPECT_EQ(Get("a").state(), v1::HOST_FENCING);
  EXPECT_EQ(cluster_.state().scrubs.at(3).host(), "a");
  ASSERT_EQ(Orders().size(), 1u);
  Report(Orders()[0]);
  EXPECT_EQ(cluster_.state().scrubs.at(3).host(), "b");
}

TEST_F(FencingTest, FencingOutlivesTheCoordinatorAndKeepsTheHostOut) {
  Start();
  ASSERT_TRUE(Open("a", "agent").ok());
  ExpireA();
  const std::vector<FenceOrder> before = Orders();
  cluster_.Restart();
  EXPECT_EQ(Orders(), before);
  EXPECT_EQ(RegisterAgain(/*boot=*/1), v1::FENCED);
  EXPECT_EQ(RegisterAgain(/*boot=*/2), v1::FENCED);
  Report(before[0]);
  EXPECT_EQ(RegisterAgain(/*boot=*/2), v1::REASON_UNSPECIFIED);
}

TEST_F(FencingTest, AFailedAgentFreesNothingAndSaysWhyOnce) {
  Start();
  ASSERT_TRUE(Open("a", "agent").ok());
  ExpireA();
  for (int i = 0; i < 3; ++i) Report(Orders()[0], "no route to the BMC");
  EXPECT_EQ(Get("a").state(), v1::HOST_FENCING);
  EXPECT_EQ(Get("a").fence().failures(), 3u);
  EXPECT_EQ(Get("a").fence().last_error(), "no route to the BMC");
  EXPECT_EQ(Count(v1::HOST_FENCE_FAILED), 1u);
  EXPECT_EQ(ReasonOf(Open("b", "agent")), v1::HELD);
  cluster_.Restart();
  EXPECT_EQ(Get("a").fence().failures(), 3u);
}

TEST_F(FencingTest, ALateResultOfAnEarlierFenceFreesNothing) {
  Start();
  ASSERT_TRUE(Open("a", "agent").ok());
  ExpireA();
  const FenceOrder first = Orders()[0];
  ASSERT_TRUE(Fence("a", /*force=*/false, /*confirm=*/true).ok());
  cluster_.TickAll();
  ASSERT_EQ(RegisterAgain(/*boot=*/2), v1::REASON_UNSPECIFIED);
  cluster_.Settle();
  ASSERT_TRUE(Open("a", "agent").ok());
  Report(first);
  EXPECT_EQ(Get("a").grants(), 1u) << "it is alive";
  ExpireA();
  Report(first);
  EXPECT_EQ(Get("a").state(), v1::HOST_FENCING) << "this fence is another";
  EXPECT_EQ(ReasonOf(Open("b", "agent")), v1::HELD);
}

TEST_F(FencingTest, WithoutAnAgentTheHostIsUncertainAndItsOwnWordCounts) {
  agents_.clear();
  Start();
  ASSERT_TRUE(Open("a", "agent").ok());
  ExpireA();
  EXPECT_EQ(Get("a").state(), v1::HOST_UNCERTAIN);
  EXPECT_EQ(ReasonOf(Open("b", "agent")), v1::HELD);
  EXPECT_EQ(ReasonOf(Fence("a").status()), v1::NO_FENCE_AGENT);
  EXPECT_EQ(RegisterAgain(/*boot=*/1), v1::REASON_UNSPECIFIED);
  cluster_.TickAll();
  EXPECT_TRUE(Open("b", "agent").ok());
}

TEST_F(FencingTest, ByHandTheAgentSettlesAHostThatCannotRevoke) {
  Start(/*can_revoke=*/false);
  ASSERT_TRUE(Open("a", "lease").ok());
  ExpireA();
  EXPECT_EQ(Get("a").state(), v1::HOST_UNCERTAIN) << "its pool does not ask for an agent";
  const absl::StatusOr<v1::Host> fencing = Fence("a");
  ASSERT_TRUE(fencing.ok()) << fencing.status();
  EXPECT_EQ(fencing->state(), v1::HOST_FENCING);
  ASSERT_EQ(Orders().size(), 1u);
  const std::vector<FenceOrder> before = Orders();
  ASSERT_TRUE(Fence("a").ok());
  EXPECT_EQ(Orders(), before) << "asking again changes nothing";
  Report(before[0]);
  EXPECT_TRUE(Open("b", "lease").ok());
}

TEST_F(FencingTest, ALiveHostIsFencedOnlyByForceAndKeepsItsBytesMeanwhile) {
  Start();
  ASSERT_TRUE(Open("a", "lease").ok());
  EXPECT_EQ(ReasonOf(Fence("a").status()), v1::IN_USE);
  EXPECT_EQ(ReasonOf(Fence("a", /*force=*/true, /*confirm=*/true).status()), v1::IN_USE);
  ASSERT_TRUE(Fence("a", /*force=*/true).ok());
  EXPECT_EQ(ReasonOf(Renew(cluster_.state(), cluster_.now, "a", cluster_.sessions["a"])),
            v1::SESSION_EXPIRED);
  EXPECT_EQ(ReasonOf(Open("b", "lease")), v1::HELD) << "its lease still runs";
  Report(Orders()[0]);
  EXPECT_TRUE(Open("b", "lease").ok());
}

}  // namespace
}  // namespace weft
