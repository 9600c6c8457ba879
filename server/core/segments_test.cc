#include "server/core/segments.h"

#include <set>

#include "gtest/gtest.h"
#include "server/core/core_test_util.h"
#include "server/core/errors.h"
#include "server/core/pools.h"

namespace weft {
namespace {

constexpr uint64_t kMi = 1 << 20;

class SegmentsTest : public testing::Test {
 protected:
  SegmentsTest() {
    cluster_.AddDevice(64);
    cluster_.AddDevice(64);
    cluster_.RegisterHost("a");
    cluster_.MakePool("fam");
  }

  absl::StatusOr<v1::Segment> Try(const v1::CreateSegmentRequest& request) {
    return cluster_.Call(CreateSegment, request);
  }
  absl::StatusOr<v1::Segment> Grow(const std::string& name, uint64_t size_bytes) {
    v1::GrowSegmentRequest request;
    request.set_name(name);
    request.set_size_bytes(size_bytes);
    return cluster_.Call(GrowSegment, request);
  }
  v1::CreateSegmentRequest Request(uint64_t size_bytes) {
    v1::CreateSegmentRequest request;
    request.set_parent("pools/fam");
    request.set_segment_id("s");
    request.mutable_segment()->set_size_bytes(size_bytes);
    return request;
  }
  v1::Reason ReasonFor(const v1::CreateSegmentRequest& request) {
    return ReasonOf(Try(request).status());
  }
  uint64_t Free() {
    v1::GetPoolRequest get;
    get.set_name("pools/fam");
    return GetPool(cluster_.state(), get)->usage().free_bytes();
  }

  TestCluster cluster_;
};

TEST_F(SegmentsTest, CreatedSegmentHasDefaultsAndItsBytes) {
  const auto segment = Try(Request(8 * kMi));
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_EQ(segment->name(), "pools/fam/segments/s");
  EXPECT_EQ(segment->id(), 1);
  EXPECT_EQ(segment->sharing(), v1::SINGLE_WRITER);
  EXPECT_EQ(segment->placement(), v1::PACK);
  EXPECT_EQ(segment->state(), v1::SEGMENT_ACTIVE);
  EXPECT_EQ(segment->coherence(), v1::HARDWARE);
  EXPECT_EQ(segment->owner(), "admin");
  ASSERT_EQ(segment->runs_size(), 1);
  EXPECT_EQ(segment->runs(0).extents(0).length_bytes(), 8 * kMi);
  EXPECT_GE(segment->runs(0).extents(0).offset_bytes(), 2 * kMi) << "the label is there";
  EXPECT_EQ(Free(), 120 * kMi);
}

TEST_F(SegmentsTest, RefusesBadRequestsAndChangesNothing) {
  const auto before = cluster_.store;
  for (const uint64_t size :
       {uint64_t{0}, uint64_t{1}, 2 * kMi + 4096, uint64_t{1} << 63, ~uint64_t{0}}) {
    EXPECT_EQ(ReasonFor(Request(size)), v1::BAD_SIZE) << size;
  }
  v1::CreateSegmentRequest request = Request(2 * kMi);
  request.set_segment_id("-");
  EXPECT_EQ(ReasonFor(request), v1::BAD_NAME);
  request = Request(2 * kMi);
  request.set_parent("fam");
  EXPECT_EQ(ReasonFor(request), v1::BAD_NAME);
  request.set_parent("pools/none");
  EXPECT_EQ(ReasonFor(request), v1::POOL_NOT_FOUND);
  request = Request(2 * kMi);
  request.mutable_segment()->set_sharing(static_cast<v1::SharingMode>(77));
  EXPECT_EQ(ReasonFor(request), v1::BAD_ARGUMENT);
  request = Request(2 * kMi);
  request.mutable_segment()->set_placement(static_cast<v1::Placement>(77));
  EXPECT_EQ(ReasonFor(request), v1::BAD_ARGUMENT);
  request = Request(2 * kMi);
  request.mutable_segment()->set_chunk_bytes(2 * kMi);
  EXPECT_EQ(ReasonFor(request), v1::BAD_ARGUMENT) << "no stripe without STRIPED";
  request = Request(4 * kMi);
  request.mutable_segment()->set_placement(v1::STRIPED);
  request.mutable_segment()->set_stripe_devices(1);
  EXPECT_EQ(ReasonFor(request), v1::BAD_ARGUMENT);
  request = Request(2 * kMi);
  request.mutable_segment()->set_placement(v1::LOCAL);
  EXPECT_EQ(ReasonFor(request), v1::BAD_ARGUMENT) << "an admin is nowhere";
  EXPECT_EQ(ReasonFor(Request(130 * kMi)), v1::POOL_FULL);
  EXPECT_EQ(cluster_.store, before);
}

TEST(LocalPlacement, ADeviceOfUnknownDistanceIsFartherThanAllThatAreKnown) {
  TestCluster cluster;
  cluster.AddDevice(64);
  const std::string known = cluster.AddDevice(64);
  cluster.devices.back().set_numa_distance(200);
  cluster.RegisterHost("a");
  cluster.MakePool("fam");
  v1::CreateSegmentRequest request;
  request.set_parent("pools/fam");
  request.set_segment_id("s");
  request.mutable_segment()->set_size_bytes(2 * kMi);
  request.mutable_segment()->set_placement(v1::LOCAL);
  const auto segment = cluster.Run([&](State& state, const Context&, Changes& changes) {
    return CreateSegment(state, cluster.On("a"), request, changes);
  });
  ASSERT_TRUE(segment.ok()) << segment.status();
  EXPECT_EQ(segment->runs(0).extents(0).device(), known);
}

// Offsets count from the start of the device, so that what is aligned there is aligned in
// memory, too: the data begin 2 MiB behind it.
TEST(HugeSegments, BeginAtAMultipleOf1GiBOfTheDevice) {
  constexpr uint64_t kGi = 1024 * kMi;
  TestCluster cluster;
  cluster.AddDevice(4 * 1024);
  ASSERT_EQ(cluster.devices[0].data_offset_bytes(), 2 * kMi);
  cluster.RegisterHost("a");
  cluster.MakePool("fam");
  for (const char* const name : {"s", "t", "u"}) {
    const auto segment = cluster.Create("fam", name, 1024);
    ASSERT_TRUE(segment.ok()) << segment.status();
    ASSERT_EQ(segment->runs_size(), 1);
    ASSERT_EQ(segment->runs(0).extents_size(), 1);
    EXPECT_EQ(segment->runs(0).extents(0).offset_bytes() % kGi, 0u) << name;
  }
  // No aligned GiB is left, but as many bytes: then they do.
  const auto last = cluster.Create("fam", "v", 1024);
  ASSERT_TRUE(last.ok()) << last.status();
  EXPECT_EQ(last->size_bytes(), kGi);
}

TEST_F(SegmentsTest, ANameIsTakenOnce) {
  ASSERT_TRUE(Try(Request(2 * kMi)).ok());
  EXPECT_EQ(ReasonFor(Request(2 * kMi)), v1::ALREADY_EXISTS);
}

TEST_F(SegmentsTest, StripedSegmentAlternatesDevices) {
  v1::CreateSegmentRequest request = Request(16 * kMi);
  request.mutable_segment()->set_placement(v1::STRIPED);
  request.mutable_segment()->set_stripe_devices(2);
  request.mutable_segment()->set_chunk_bytes(2 * kMi);
  const auto segment = Try(request);
  ASSERT_TRUE(segment.ok()) << segment.status();
  ASSERT_EQ(segment->runs_size(), 1);
  EXPECT_EQ(segment->runs(0).chunk_bytes(), 2 * kMi);
  ASSERT_EQ(segment->runs(0).extents_size(), 2);
  EXPECT_NE(segment->runs(0).extents(0).device(), segment->runs(0).extents(1).device());
  const auto grown = Grow(segment->name(), 24 * kMi);
  ASSERT_TRUE(grown.ok()) << grown.status();
  EXPECT_EQ(grown->runs_size(), 1) << "both columns continue";
  EXPECT_EQ(grown->runs(0).extents(1).length_bytes(), 12 * kMi);
}

TEST_F(SegmentsTest, ExplicitExtentsAreTakenExactlyOrNotAtAll) {
  v1::CreateSegmentRequest request = Request(6 * kMi);
  for (const uint64_t offset : {10 * kMi, 20 * kMi, 30 * kMi}) {
    v1::Extent& extent = *request.add_extents();
    extent.set_device("devices/" + cluster_.devices[1].uuid());
    extent.set_offset_bytes(offset);
    extent.set_length_bytes(2 * kMi);
  }
  const auto segment = Try(request);
  ASSERT_TRUE(segment.ok()) << segment.status();
  ASSERT_EQ(segment->runs_size(), 3);
  EXPECT_EQ(segment->runs(1).extents(0).offset_bytes(), 20 * kMi);

  request.set_segment_id("t");
  request.mutable_extents(0)->set_offset_bytes(40 * kMi);
  EXPECT_EQ(ReasonFor(request), v1::IN_USE) << "20 MiB is taken";
  request.clear_extents();
  v1::Extent& label = *request.add_extents();
  label.set_device("devices/" + cluster_.devices[0].uuid());
  label.set_length_bytes(2 * kMi);
  request.mutable_segment()->set_size_bytes(2 * kMi);
  EXPECT_EQ(ReasonFor(request), v1::IN_USE) << "the label is there";
  label.set_offset_bytes(2 * kMi);
  request.mutable_segment()->set_size_bytes(4 * kMi);
  EXPECT_EQ(ReasonFor(request), v1::BAD_SIZE);
  EXPECT_EQ(Free(), 122 * kMi);
}

TEST_F(SegmentsTest, GrowthKeepsWhatIsThereAndNeverShrinks) {
  const auto segment = Try(Request(4 * kMi));
  ASSERT_TRUE(segment.ok());
  const auto grown = Grow(segment->name(), 100 * kMi);
  ASSERT_TRUE(grown.ok()) << grown.status();
  EXPECT_EQ(grown->size_bytes(), 100 * kMi);
  EXPECT_EQ(grown->runs(0).extents(0).device(), segment->runs(0).extents(0).device());
  EXPECT_EQ(grown->runs(0).extents(0).offset_bytes(), segment->runs(0).extents(0).offset_bytes());
  EXPECT_TRUE(Grow(segment->name(), 100 * kMi).ok()) << "it has that size";
  EXPECT_EQ(ReasonOf(Grow(segment->name(), 98 * kMi).status()), v1::BAD_SIZE);
  EXPECT_EQ(ReasonOf(Grow(segment->name(), 101 * kMi).status()), v1::BAD_SIZE);
  EXPECT_EQ(ReasonOf(Grow(segment->name(), 130 * kMi).status()), v1::POOL_FULL);
  EXPECT_EQ(ReasonOf(Grow("pools/fam/segments/none", 2 * kMi).status()), v1::SEGMENT_NOT_FOUND);
  EXPECT_EQ(Free(), 28 * kMi);
}

TEST_F(SegmentsTest, HoldersLearnThatASegmentGrew) {
  const auto segment = Try(Request(4 * kMi));
  ASSERT_TRUE(cluster_.Acquire("a", segment->name(), v1::READ_ONLY).ok());
  ASSERT_TRUE(Grow(segment->name(), 8 * kMi).ok());
  EXPECT_EQ(cluster_.assigned["a"].at("grant/1").grant().size_bytes(), 8 * kMi);
}

TEST_F(SegmentsTest, DeletedBytesAreScrubbedBeforeTheyAreFree) {
  const auto segment = Try(Request(128 * kMi));
  ASSERT_TRUE(segment.ok());
  cluster_.scrubbed.clear();
  ASSERT_TRUE(cluster_.Delete(segment->name()).ok());
  EXPECT_EQ(ReasonFor(Request(2 * kMi)), v1::POOL_FULL);
  cluster_.Restart();
  EXPECT_EQ(ReasonFor(Request(2 * kMi)), v1::POOL_FULL) << "a restart skips no scrub";
  cluster_.Settle();
  EXPECT_EQ(cluster_.scrubbed.size(), 2u);
  const auto again = Try(Request(128 * kMi));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->id(), 2) << "an id is never used again";
}

TEST_F(SegmentsTest, AHeldSegmentIsDeletedOnlyByForceAndAfterItsHolders) {
  const auto segment = Try(Request(4 * kMi));
  const auto grant = cluster_.Acquire("a", segment->name(), v1::READ_WRITE);
  ASSERT_TRUE(grant.ok());
  EXPECT_EQ(ReasonOf(cluster_.Delete(segment->name())), v1::IN_USE);
  ASSERT_TRUE(cluster_.Delete(segment->name(), /*force=*/true).ok());
  ASSERT_TRUE(cluster_.Delete(segment->name(), /*force=*/true).ok()) << "idempotent";
  EXPECT_EQ(cluster_.assigned["a"].at("grant/1").grant().grant().state(), v1::GRANT_REVOKING);
  EXPECT_EQ(ReasonFor(Request(2 * kMi)), v1::ALREADY_EXISTS) << "the name is still taken";
  EXPECT_EQ(ReasonOf(cluster_.Acquire("a", segment->name(), v1::READ_ONLY).status()),
            v1::MODE_NOT_ALLOWED);
  ASSERT_TRUE(cluster_.Release("a", grant->grant()).ok());
  EXPECT_EQ(ReasonOf(cluster_.Delete(segment->name())), v1::SEGMENT_NOT_FOUND);
  cluster_.Settle();
  EXPECT_EQ(Free(), 128 * kMi);
}

TEST_F(SegmentsTest, ListsInPagesByPoolOrAll) {
  for (const char* id : {"x", "y", "z"}) {
    v1::CreateSegmentRequest request = Request(2 * kMi);
    request.set_segment_id(id);
    ASSERT_TRUE(Try(request).ok());
  }
  for (const char* parent : {"pools/fam", "pools/-"}) {
    v1::ListSegmentsRequest list;
    list.set_parent(parent);
    list.set_page_size(2);
    std::set<std::string> seen;
    do {
      const auto page = ListSegments(cluster_.state(), list);
      ASSERT_TRUE(page.ok()) << page.status();
      for (const v1::Segment& segment : page->segments()) seen.insert(segment.name());
      list.set_page_token(page->next_page_token());
    } while (!list.page_token().empty());
    EXPECT_EQ(seen.size(), 3u);
  }
  v1::ListSegmentsRequest list;
  list.set_parent("pools/none");
  EXPECT_EQ(ReasonOf(ListSegments(cluster_.state(), list).status()), v1::POOL_NOT_FOUND);
}

TEST_F(SegmentsTest, GrowsOnlyOntoDevicesThatItsHoldersSee) {
  ASSERT_TRUE(Try(Request(64 * kMi)).ok()) << "all of one device";
  const std::string name = "pools/fam/segments/s";
  const std::string first =
      cluster_.state().segments.begin()->second.segment().runs(0).extents(0).device();
  std::erase_if(cluster_.devices,
                [&](const v1::LocalDevice& device) { return "devices/" + device.uuid() != first; });
  cluster_.RegisterHost("b");
  cluster_.Settle();
  const auto acquired = cluster_.Acquire("b", name, v1::READ_ONLY);
  ASSERT_TRUE(acquired.ok()) << acquired.status();
  const auto before = cluster_.store;
  const uint64_t free = Free();
  EXPECT_EQ(ReasonOf(Grow(name, 66 * kMi).status()), v1::DEVICE_MISSING);
  EXPECT_EQ(cluster_.store, before);
  EXPECT_EQ(Free(), free);
  ASSERT_TRUE(cluster_.Release("b", acquired->grant()).ok());
  EXPECT_TRUE(Grow(name, 66 * kMi).ok());
}

}  // namespace
}  // namespace weft
