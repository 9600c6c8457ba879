#include "server/core/pools.h"

#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/errors.h"
#include "server/core/segments.h"

namespace weft {
namespace {

constexpr uint64_t kMi = 1 << 20;

absl::StatusOr<v1::Pool> Try(TestCluster& cluster, const v1::CreatePoolRequest& request) {
  return cluster.Call(CreatePool, request);
}

absl::Status TryDelete(TestCluster& cluster, const std::string& name) {
  v1::DeletePoolRequest request;
  request.set_name(name);
  return cluster.Call(DeletePool, request);
}

v1::CreatePoolRequest Request(const std::string& id) {
  v1::CreatePoolRequest request;
  request.set_pool_id(id);
  return request;
}

TEST(PoolsTest, NewPoolHasTheDefaultsAndAUuid) {
  TestCluster cluster;
  const auto pool = Try(cluster, Request("fam"));
  ASSERT_TRUE(pool.ok()) << pool.status();
  EXPECT_EQ(pool->name(), "pools/fam");
  EXPECT_EQ(pool->default_placement(), v1::PACK);
  EXPECT_EQ(pool->fencing(), v1::LEASE);
  EXPECT_FALSE(pool->uuid().empty());
}

TEST(PoolsTest, RefusesBadRequestsAndChangesNothing) {
  TestCluster cluster;
  cluster.AddDevice(64);
  cluster.RegisterHost("a");
  ASSERT_TRUE(Try(cluster, Request("fam")).ok());
  const auto before = cluster.store;

  EXPECT_EQ(ReasonOf(Try(cluster, Request("No Good")).status()), v1::BAD_NAME);
  EXPECT_EQ(ReasonOf(Try(cluster, Request("fam")).status()), v1::ALREADY_EXISTS);

  v1::CreatePoolRequest striped = Request("p");
  striped.mutable_pool()->set_default_placement(v1::STRIPED);
  EXPECT_EQ(ReasonOf(Try(cluster, striped).status()), v1::BAD_ARGUMENT);

  v1::CreatePoolRequest patient = Request("p");
  patient.mutable_pool()->set_revoke_grace_ms(3'600'001);
  EXPECT_EQ(ReasonOf(Try(cluster, patient).status()), v1::BAD_ARGUMENT);

  v1::CreatePoolRequest unknown = Request("p");
  unknown.add_devices("devices/dddddddd-0000-4000-8000-0000000000ff");
  EXPECT_EQ(ReasonOf(Try(cluster, unknown).status()), v1::DEVICE_NOT_FOUND);

  v1::CreatePoolRequest twice = Request("p");
  twice.add_devices("devices/" + cluster.devices[0].uuid());
  twice.add_devices("devices/" + cluster.devices[0].uuid());
  EXPECT_EQ(ReasonOf(Try(cluster, twice).status()), v1::BAD_ARGUMENT);

  EXPECT_EQ(cluster.store, before);
}

TEST(PoolsTest, DevicesAreScrubbedAndLabelledBeforeTheyCanBeAllocated) {
  TestCluster cluster;
  cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.Settle();
  cluster.frozen = {"a"};
  cluster.MakePool("fam");

  v1::GetPoolRequest get;
  get.set_name("pools/fam");
  EXPECT_EQ(GetPool(cluster.state(), get)->usage().scrubbing_bytes(), 64 * kMi);
  EXPECT_EQ(ReasonOf(cluster.Create("fam", "s", 2).status()), v1::POOL_FULL);

  cluster.frozen.clear();
  cluster.Settle();
  const v1::Pool pool = *GetPool(cluster.state(), get);
  EXPECT_EQ(pool.usage().free_bytes(), 64 * kMi);
  EXPECT_EQ(pool.usage().scrubbing_bytes(), 0);
  EXPECT_EQ(cluster.devices[0].pool_uuid(), pool.uuid());
  EXPECT_TRUE(cluster.Create("fam", "s", 2).ok());
}

TEST(PoolsTest, RefusesADeviceOfAnotherPoolOrCluster) {
  TestCluster cluster;
  cluster.AddDevice(64);
  cluster.AddDevice(64);
  cluster.devices[1].set_pool_uuid("eeeeeeee-0000-4000-8000-000000000001");
  cluster.RegisterHost("a");
  v1::CreatePoolRequest first = Request("one");
  first.add_devices("devices/" + cluster.devices[0].uuid());
  ASSERT_TRUE(Try(cluster, first).ok());
  v1::CreatePoolRequest second = Request("two");
  second.add_devices("devices/" + cluster.devices[0].uuid());
  EXPECT_EQ(ReasonOf(Try(cluster, second).status()), v1::IN_USE);
  v1::CreatePoolRequest foreign = Request("three");
  foreign.add_devices("devices/" + cluster.devices[1].uuid());
  EXPECT_EQ(ReasonOf(Try(cluster, foreign).status()), v1::FOREIGN_DATA);
}

TEST(PoolsTest, DeletedPoolGivesItsDevicesBack) {
  TestCluster cluster;
  cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.MakePool("fam");
  ASSERT_TRUE(cluster.Create("fam", "s", 2).ok());
  EXPECT_EQ(ReasonOf(TryDelete(cluster, "pools/fam")), v1::IN_USE);
  ASSERT_TRUE(cluster.Delete("pools/fam/segments/s").ok());
  EXPECT_EQ(ReasonOf(TryDelete(cluster, "pools/fam")), v1::IN_USE) << "it is being scrubbed";
  cluster.Settle();
  ASSERT_TRUE(TryDelete(cluster, "pools/fam").ok());
  EXPECT_EQ(ReasonOf(TryDelete(cluster, "pools/fam")), v1::POOL_NOT_FOUND);
  cluster.Settle();
  EXPECT_EQ(cluster.devices[0].pool_uuid(), Uuid().ToString());
  cluster.MakePool("again");
  EXPECT_TRUE(cluster.Create("again", "s", 64).ok());
}

TEST(PoolsTest, ListsInPages) {
  TestCluster cluster;
  for (const char* id : {"a", "b", "c"}) ASSERT_TRUE(Try(cluster, Request(id)).ok());
  v1::ListPoolsRequest list;
  list.set_page_size(2);
  const auto first = ListPools(cluster.state(), list);
  ASSERT_TRUE(first.ok());
  ASSERT_EQ(first->pools_size(), 2);
  list.set_page_token(first->next_page_token());
  const auto second = ListPools(cluster.state(), list);
  ASSERT_TRUE(second.ok());
  ASSERT_EQ(second->pools_size(), 1);
  EXPECT_EQ(second->pools(0).name(), "pools/c");
  EXPECT_EQ(second->next_page_token(), "");
  list.set_page_token("%");
  EXPECT_EQ(ReasonOf(ListPools(cluster.state(), list).status()), v1::BAD_PAGE_TOKEN);
}

}  // namespace
}  // namespace weft
