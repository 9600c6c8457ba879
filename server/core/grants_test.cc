#include "server/core/grants.h"

#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/errors.h"
#include "server/core/lookup.h"
#include "server/core/segments.h"

namespace weft {
namespace {

constexpr uint64_t kMi = 1 << 20;

class GrantsTest : public testing::Test {
 protected:
  GrantsTest() {
    cluster_.AddDevice(64);
    cluster_.RegisterHost("a");
    cluster_.RegisterHost("b");
    cluster_.MakePool("fam");
  }

  std::string Make(const std::string& id, v1::SharingMode sharing) {
    v1::CreateSegmentRequest request;
    request.set_parent("pools/fam");
    request.set_segment_id(id);
    request.mutable_segment()->set_size_bytes(2 * kMi);
    request.mutable_segment()->set_sharing(sharing);
    const auto segment = cluster_.Call(CreateSegment, request);
    return segment->name();
  }
  v1::Reason Refusal(const std::string& host, const std::string& segment, v1::AccessMode mode) {
    return ReasonOf(cluster_.Acquire(host, segment, mode).status());
  }

  TestCluster cluster_;
};

constexpr v1::Reason kGranted = v1::REASON_UNSPECIFIED;

TEST_F(GrantsTest, ExclusiveIsForOneHost) {
  const std::string s = Make("s", v1::EXCLUSIVE);
  const auto grant = cluster_.Acquire("a", s, v1::READ_ONLY);
  ASSERT_TRUE(grant.ok());
  EXPECT_EQ(Refusal("b", s, v1::READ_ONLY), v1::HELD);
  ASSERT_TRUE(cluster_.Release("a", grant->grant()).ok());
  EXPECT_EQ(Refusal("b", s, v1::READ_ONLY), kGranted);
}

TEST_F(GrantsTest, SingleWriterHasOneWriterAndAnyReaders) {
  const std::string s = Make("s", v1::SINGLE_WRITER);
  EXPECT_EQ(Refusal("a", s, v1::READ_WRITE), kGranted);
  EXPECT_EQ(Refusal("b", s, v1::READ_WRITE), v1::HELD);
  EXPECT_EQ(Refusal("b", s, v1::READ_ONLY), kGranted);
  EXPECT_EQ(Refusal("b", s, v1::READ_WRITE), v1::HELD) << "a reader does not become a second one";
}

TEST_F(GrantsTest, SharedIsForAll) {
  const std::string s = Make("s", v1::SHARED);
  EXPECT_EQ(Refusal("a", s, v1::READ_WRITE), kGranted);
  EXPECT_EQ(Refusal("b", s, v1::READ_WRITE), kGranted);
}

TEST_F(GrantsTest, AModeThatIsNoneIsRefused) {
  const std::string s = Make("s", v1::SHARED);
  EXPECT_EQ(Refusal("a", s, static_cast<v1::AccessMode>(77)), v1::BAD_ARGUMENT);
}

TEST_F(GrantsTest, AcquireIsIdempotentAndAnUpgradeHasANewToken) {
  const std::string s = Make("s", v1::SINGLE_WRITER);
  const auto reader = cluster_.Acquire("a", s, v1::READ_ONLY);
  const auto again = cluster_.Acquire("a", s, v1::READ_ONLY);
  EXPECT_EQ(FromProto(reader->grant().token()), FromProto(again->grant().token()));
  const auto writer = cluster_.Acquire("a", s, v1::READ_WRITE);
  EXPECT_GT(FromProto(writer->grant().token()), FromProto(reader->grant().token()));
  const auto weaker = cluster_.Acquire("a", s, v1::READ_ONLY);
  EXPECT_EQ(weaker->grant().mode(), v1::READ_WRITE) << "it has a stronger one";
}

TEST_F(GrantsTest, TokensRiseAcrossRestarts) {
  const std::string s = Make("s", v1::EXCLUSIVE);
  Token last;
  for (int i = 0; i < 5; ++i) {
    const auto grant = cluster_.Acquire(i % 2 == 0 ? "a" : "b", s, v1::READ_WRITE);
    ASSERT_TRUE(grant.ok()) << grant.status();
    EXPECT_GT(FromProto(grant->grant().token()), last);
    last = FromProto(grant->grant().token());
    ASSERT_TRUE(cluster_.Release(i % 2 == 0 ? "a" : "b", grant->grant()).ok());
    cluster_.Restart();
  }
}

TEST_F(GrantsTest, AnOldTokenReleasesNothing) {
  const std::string s = Make("s", v1::SINGLE_WRITER);
  const auto reader = cluster_.Acquire("a", s, v1::READ_ONLY);
  ASSERT_TRUE(cluster_.Acquire("a", s, v1::READ_WRITE).ok());
  ASSERT_TRUE(cluster_.Release("a", reader->grant()).ok());
  EXPECT_EQ(HoldersOf(cluster_.state(), SegmentId(1)), std::vector<std::string>{"a"});
}

TEST_F(GrantsTest, OnlyTheCurrentSessionCounts) {
  const std::string s = Make("s", v1::SHARED);
  cluster_.sessions["a"] = "1.999";
  EXPECT_EQ(Refusal("a", s, v1::READ_ONLY), v1::SESSION_EXPIRED);
  cluster_.sessions["stranger"] = "1.1";
  EXPECT_EQ(Refusal("stranger", s, v1::READ_ONLY), v1::SESSION_EXPIRED);
}

TEST_F(GrantsTest, AHostThatDoesNotSeeTheDeviceIsRefused) {
  const std::string s = Make("s", v1::SHARED);
  const auto devices = std::exchange(cluster_.devices, {});
  cluster_.RegisterHost("blind");
  EXPECT_EQ(Refusal("blind", s, v1::READ_ONLY), v1::DEVICE_MISSING);
  EXPECT_EQ(Refusal("a", "pools/fam/segments/none", v1::READ_ONLY), v1::SEGMENT_NOT_FOUND);
  cluster_.devices = devices;
  cluster_.RegisterHost("late");
  const absl::Status waiting = cluster_.Acquire("late", s, v1::READ_ONLY).status();
  EXPECT_EQ(waiting.code(), absl::StatusCode::kUnavailable) << "its proof is under way";
}

TEST_F(GrantsTest, AHostHoldsOnlySoMany) {
  CoreOptions options;
  options.max_grants_per_host = 1;
  TestCluster cluster(options);
  cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.MakePool("fam");
  ASSERT_TRUE(cluster.Create("fam", "s", 2).ok());
  ASSERT_TRUE(cluster.Create("fam", "t", 2).ok());
  ASSERT_TRUE(cluster.Acquire("a", "pools/fam/segments/s", v1::READ_ONLY).ok());
  EXPECT_EQ(ReasonOf(cluster.Acquire("a", "pools/fam/segments/t", v1::READ_ONLY).status()),
            v1::QUOTA);
}

TEST_F(GrantsTest, ListsInPages) {
  const std::string s = Make("s", v1::SHARED);
  const std::string t = Make("t", v1::SHARED);
  for (const char* host : {"a", "b"}) {
    ASSERT_TRUE(cluster_.Acquire(host, s, v1::READ_ONLY).ok());
    ASSERT_TRUE(cluster_.Acquire(host, t, v1::READ_ONLY).ok());
  }
  v1::ListGrantsRequest list;
  list.set_parent(s);
  EXPECT_EQ(ListGrants(cluster_.state(), list)->grants_size(), 2);
  list.set_parent("pools/-/segments/-");
  list.set_page_size(3);
  const auto first = ListGrants(cluster_.state(), list);
  EXPECT_EQ(first->grants_size(), 3);
  list.set_page_token(first->next_page_token());
  EXPECT_EQ(ListGrants(cluster_.state(), list)->grants_size(), 1);
  list.set_page_token("bm90IGEga2V5");
  EXPECT_EQ(ReasonOf(ListGrants(cluster_.state(), list).status()), v1::BAD_PAGE_TOKEN);
}

}  // namespace
}  // namespace weft
