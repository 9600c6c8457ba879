#include "server/core/requests.h"

#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/errors.h"
#include "server/core/grants.h"
#include "server/core/pools.h"

namespace weft {
namespace {

CoreOptions SmallLog() {
  CoreOptions options;
  options.max_requests_per_principal = 3;
  return options;
}

class RequestsTest : public testing::Test {
 protected:
  RequestsTest() : cluster_(SmallLog()) {}

  absl::StatusOr<v1::Pool> Create(const std::string& pool, const std::string& request_id) {
    v1::CreatePoolRequest request;
    request.set_pool_id(pool);
    request.set_request_id(request_id);
    return cluster_.Run([&](State& state, const Context& context, Changes& changes) {
      return Once<v1::Pool>(state, context, "CreatePool", request, changes,
                            [&](Changes& c) { return CreatePool(state, context, request, c); });
    });
  }

  TestCluster cluster_;
};

TEST_F(RequestsTest, ARepetitionHasTheFirstReplyAcrossARestart) {
  const auto first = Create("fam", "id-1");
  ASSERT_TRUE(first.ok()) << first.status();
  cluster_.Restart();
  const auto second = Create("fam", "id-1");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->uuid(), first->uuid());
  EXPECT_EQ(ReasonOf(Create("fam", "id-2").status()), v1::ALREADY_EXISTS);
}

TEST_F(RequestsTest, TheSameIdWithAnotherBodyIsRefused) {
  ASSERT_TRUE(Create("fam", "id").ok());
  EXPECT_EQ(ReasonOf(Create("other", "id").status()), v1::REQUEST_ID_REUSED);
}

TEST_F(RequestsTest, AFailureIsNotRemembered) {
  ASSERT_TRUE(Create("fam", "").ok());
  EXPECT_EQ(ReasonOf(Create("fam", "id").status()), v1::ALREADY_EXISTS);
  EXPECT_TRUE(Create("other", "id").ok());
}

TEST_F(RequestsTest, IdsMustBeShortAndPrintable) {
  for (const std::string& id : {std::string(65, 'x'), std::string("a/b"), std::string("a b"),
                                std::string("\x01"), std::string("\xff")}) {
    EXPECT_EQ(ReasonOf(Create("fam", id).status()), v1::BAD_ARGUMENT) << id;
  }
}

TEST_F(RequestsTest, OldRecordsMakeRoomYoungOnesDoNot) {
  ASSERT_TRUE(Create("a", "1").ok());
  ASSERT_TRUE(Create("b", "2").ok());
  ASSERT_TRUE(Create("c", "3").ok());
  const absl::Status full = Create("d", "4").status();
  EXPECT_EQ(ReasonOf(full), v1::QUOTA);
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Create("a", "1").ok()) << "repetitions are answered";
  cluster_.Advance(absl::Minutes(3));
  EXPECT_TRUE(Create("d", "4").ok());
  cluster_.Restart();
  EXPECT_EQ(cluster_.state().requests.at("admin").by_id.size(), 3u);
  EXPECT_FALSE(cluster_.state().requests.at("admin").by_id.contains("1"));
}

TEST_F(RequestsTest, RecordsAreForgottenAfterADay) {
  ASSERT_TRUE(Create("a", "1").ok());
  cluster_.Advance(absl::Hours(23));
  cluster_.TickAll();
  EXPECT_EQ(cluster_.state().requests.size(), 1u);
  cluster_.Advance(absl::Hours(2));
  cluster_.TickAll();
  EXPECT_TRUE(cluster_.state().requests.empty());
  cluster_.Restart();
  EXPECT_TRUE(cluster_.state().requests.empty());
}

TEST_F(RequestsTest, AGrantThatWasReleasedIsNotHandedOutAgain) {
  cluster_.AddDevice(64);
  cluster_.RegisterHost("a");
  cluster_.MakePool("fam");
  ASSERT_TRUE(cluster_.Create("fam", "s", 2).ok());
  v1::AcquireGrantRequest request;
  request.set_session_id(cluster_.sessions["a"]);
  request.set_segment("pools/fam/segments/s");
  request.set_request_id("id");
  const auto acquire = [&] {
    return cluster_.Run([&](State& state, const Context& context, Changes& changes) {
      return Once<v1::AcquireGrantResponse>(
          state, context, "AcquireGrant", request, changes,
          [&](Changes& c) { return AcquireGrant(state, context, "a", request, c); });
    });
  };
  const auto first = acquire();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(acquire()->grant().token().counter(), first->grant().token().counter());
  ASSERT_TRUE(cluster_.Release("a", first->grant()).ok());
  EXPECT_GT(acquire()->grant().token().counter(), first->grant().token().counter());
}

TEST(RequestsOfManyTest, AllTogetherAreLimited) {
  CoreOptions options;
  options.max_requests = 2;
  TestCluster cluster(options);
  const auto keep = [&](const std::string& principal) {
    return ReasonOf(cluster.Run([&](State& state, const Context& admin, Changes& changes) {
      const Context context{admin.now, principal, ""};
      const auto found = FindReply(state, context, "id", "hash");
      if (found.ok()) KeepReply(state, context, "id", "hash", "reply", changes);
      return found.status();
    }));
  };
  EXPECT_EQ(keep("a"), v1::REASON_UNSPECIFIED);
  cluster.Advance(absl::Minutes(1));
  EXPECT_EQ(keep("b"), v1::REASON_UNSPECIFIED);
  EXPECT_EQ(keep("c"), v1::QUOTA);
  cluster.Advance(absl::Minutes(1));
  EXPECT_EQ(keep("c"), v1::REASON_UNSPECIFIED) << "the oldest makes room";
  EXPECT_TRUE(cluster.state().requests.at("a").by_id.empty());
  cluster.Restart();
  EXPECT_EQ(cluster.state().request_count, 2u);
}

TEST_F(RequestsTest, AClockThatWasSetBackLocksNobodyOut) {
  ASSERT_TRUE(Create("a", "1").ok());
  ASSERT_TRUE(Create("b", "2").ok());
  ASSERT_TRUE(Create("c", "3").ok());
  cluster_.now.unix_ms -= 3'600'000;
  EXPECT_TRUE(Create("d", "4").ok());
}

}  // namespace
}  // namespace weft
