#include "server/core/load.h"

#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/errors.h"
#include "server/core/events.h"
#include "server/core/keys.h"
#include "server/core/status.h"

namespace weft {
namespace {

class LoadTest : public testing::Test {
 protected:
  LoadTest() {
    cluster_.AddDevice(64);
    cluster_.RegisterHost("a");
    cluster_.MakePool("fam");
    EXPECT_TRUE(cluster_.Create("fam", "s", 8).ok());
    EXPECT_TRUE(cluster_.Create("fam", "t", 8).ok());
    EXPECT_TRUE(cluster_.Acquire("a", "pools/fam/segments/s", v1::READ_WRITE).ok());
    EXPECT_TRUE(cluster_.Delete("pools/fam/segments/t").ok());
  }

  absl::Status Load() {
    Loader loader(cluster_.state().options);
    for (const auto& [key, value] : cluster_.store) {
      if (absl::Status s = loader.Add(key, value); !s.ok()) return s;
    }
    Changes changes;
    return std::move(loader).Finish(cluster_.now, &changes).status();
  }

  TestCluster cluster_;
};

TEST_F(LoadTest, TheStateIsWhatItWas) {
  const std::string before = StatusOf(cluster_.state()).DebugString();
  const auto stored = cluster_.store;
  cluster_.Restart();
  EXPECT_EQ(StatusOf(cluster_.state()).DebugString(), before);
  EXPECT_EQ(cluster_.store, stored) << "loading writes nothing";
  EXPECT_EQ(WholeAssignments(cluster_.state(), "a").upserts_size(), 2) << "a grant and a scrub";
}

TEST_F(LoadTest, TwoOwnersOfOneByteAreRefused) {
  store::v1::SegmentRecord record;
  ASSERT_TRUE(record.ParseFromString(cluster_.store.at(keys::Segment("fam", "s"))));
  record.mutable_segment()->set_name("pools/fam/segments/u");
  record.mutable_segment()->set_id(99);
  cluster_.store[keys::Segment("fam", "u")] = record.SerializeAsString();
  EXPECT_EQ(ReasonOf(Load()), v1::STORE_DAMAGED);
}

TEST_F(LoadTest, DamagedRecordsAreRefused) {
  for (const auto& [key, value] : std::map(cluster_.store)) {
    cluster_.store[key] = "\xff\xff\xff";
    EXPECT_EQ(ReasonOf(Load()), v1::STORE_DAMAGED) << key;
    cluster_.store[key] = value;
  }
  EXPECT_TRUE(Load().ok());
}

TEST_F(LoadTest, RecordsThatLackWhatTheyReferToAreRefused) {
  for (const std::string& key : {keys::Pool("fam"), keys::Host("a"),
                                 keys::Device(*Uuid::Parse(cluster_.devices[0].uuid()))}) {
    const std::string value = cluster_.store.extract(key).mapped();
    EXPECT_EQ(ReasonOf(Load()), v1::STORE_DAMAGED) << key;
    cluster_.store[key] = value;
  }
}

TEST_F(LoadTest, EventsResumeByRevisionAndSayWhenTheyAreTooOld) {
  CoreOptions options;
  options.max_events = 3;
  TestCluster cluster(options);
  cluster.AddDevice(64);
  cluster.RegisterHost("a");
  cluster.MakePool("fam");
  cluster.Restart();
  const uint64_t newest = cluster.state().cluster.revision();
  ASSERT_GT(newest, 4u);
  v1::ListEventsRequest request;
  EXPECT_EQ(ListEvents(cluster.state(), request)->events_size(), 3);
  request.set_after_revision(newest - 1);
  ASSERT_EQ(ListEvents(cluster.state(), request)->events_size(), 1);
  EXPECT_EQ(ListEvents(cluster.state(), request)->events(0).revision(), newest);
  request.set_after_revision(newest);
  EXPECT_EQ(ListEvents(cluster.state(), request)->events_size(), 0);
  request.set_after_revision(newest - 4);
  EXPECT_EQ(ReasonOf(ListEvents(cluster.state(), request).status()), v1::EVENTS_COMPACTED);
  request.set_after_revision(newest + 1);
  EXPECT_EQ(ReasonOf(ListEvents(cluster.state(), request).status()), v1::EVENTS_COMPACTED);
}

TEST_F(LoadTest, EmptyAndMisplacedRecordsAreRefused) {
  for (const auto& [key, value] : std::map(cluster_.store)) {
    cluster_.store[key] = "";
    EXPECT_EQ(ReasonOf(Load()), v1::STORE_DAMAGED) << key;
    cluster_.store[key] = value;
  }
  const std::string cluster = cluster_.store.extract(keys::kCluster).mapped();
  EXPECT_EQ(ReasonOf(Load()), v1::STORE_DAMAGED) << "not a new cluster: tokens would repeat";
  cluster_.store[keys::kCluster] = cluster;
  cluster_.store[keys::Host("b")] = cluster_.store.at(keys::Host("a"));
  EXPECT_EQ(ReasonOf(Load()), v1::STORE_DAMAGED);
}

}  // namespace
}  // namespace weft
