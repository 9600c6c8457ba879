#include "server/core/requests.h"

#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/errors.h"
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

}  // namespace
}  // namespace weft
