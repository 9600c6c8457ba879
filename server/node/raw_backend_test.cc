#include "server/node/raw_backend.h"

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/core/names.h"
#include "server/node/fake_dax.h"
#include "server/node/fake_signatures.h"
#include "server/platform/fake_clock.h"
#include "server/platform/fake_random.h"
#include "server/platform/fake_record_dir.h"

namespace weft {
namespace {

class FakeScanner final : public MappingScanner {
 public:
  absl::StatusOr<std::vector<FileMapping>> Scan(const std::vector<std::string>& paths) override {
    asked = paths;
    if (!error.ok()) return error;
    return mappings;
  }

  std::vector<FileMapping> mappings;
  absl::Status error;
  std::vector<std::string> asked;
};

class RawBackendTest : public testing::Test {
 protected:
  RawBackendTest() {
    dax_.media["dax0.0"] = std::make_shared<FakeMedia>(ByteCount(16 * kMiB.value()));
    EXPECT_TRUE(catalog_.Rescan().ok());
    id_ = *Uuid::Parse(catalog_.Format("dax0.0", false)->uuid());
  }

  v1::GrantAssignment Grant(uint64_t segment, uint64_t offset_mib, uint64_t length_mib) {
    v1::GrantAssignment grant;
    grant.mutable_grant()->set_segment_id(segment);
    v1::Extent& extent = *grant.add_runs()->add_extents();
    extent.set_device(FormatDeviceName(id_));
    extent.set_offset_bytes(offset_mib << 20);
    extent.set_length_bytes(length_mib << 20);
    return grant;
  }
  void Map(uint64_t offset_mib, uint64_t length_mib) {
    scanner_.mappings.push_back(
        {"/fake/dax0.0", ByteOffset(offset_mib << 20), ByteCount(length_mib << 20), 1});
  }

  FakeClock clock_;
  FakeRandom random_;
  FakeSignatureProbe probe_;
  FakeDax dax_;
  DeviceCatalog catalog_{dax_, {clock_, random_, probe_}};
  DeviceId id_;
  FakeScanner scanner_;
  FakeRecordDir records_;
  RawBackend backend_{v1::EMULATED, "host-a", catalog_, scanner_, records_};
};

using Segments = std::set<SegmentId>;

TEST_F(RawBackendTest, OnlyMappingsThatOverlapAnExtentCount) {
  Map(4, 2);
  const auto in_use = backend_.FindInUse({Grant(1, 2, 2), Grant(2, 4, 4), Grant(3, 8, 2)});
  ASSERT_TRUE(in_use.ok()) << in_use.status();
  EXPECT_EQ(*in_use, Segments{SegmentId(2)});
  EXPECT_EQ(scanner_.asked, std::vector<std::string>{"/fake/dax0.0"});
}

TEST_F(RawBackendTest, AMappingOfTheWholeDeviceCountsForEverySegment) {
  Map(0, 16);
  EXPECT_EQ(*backend_.FindInUse({Grant(1, 2, 2), Grant(2, 4, 4)}),
            (Segments{SegmentId(1), SegmentId(2)}));
}

TEST_F(RawBackendTest, ADescriptorThatIsNotMappedCountsForItsSegmentAndHost) {
  const auto files = backend_.Open(Grant(1, 2, 2), v1::READ_ONLY);
  ASSERT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(*backend_.FindInUse({Grant(1, 2, 2), Grant(2, 4, 4)}), Segments{SegmentId(1)});
  RawBackend next(v1::EMULATED, "host-a", catalog_, scanner_, records_);
  EXPECT_EQ(*next.FindInUse({Grant(1, 2, 2)}), Segments{SegmentId(1)});
  RawBackend other(v1::EMULATED, "host-b", catalog_, scanner_, records_);
  EXPECT_TRUE(other.FindInUse({Grant(1, 2, 2)})->empty());
  dax_.media["dax0.0"]->CloseClients();
  EXPECT_TRUE(backend_.FindInUse({Grant(1, 2, 2)})->empty());
}

TEST_F(RawBackendTest, WhatCannotBeSeenIsNotKnownToBeFree) {
  scanner_.error = absl::PermissionDeniedError("/proc/1/maps");
  EXPECT_FALSE(backend_.FindInUse({Grant(1, 2, 2)}).ok());
  dax_.broken["dax0.0"] = absl::DataLossError("truncated");
  ASSERT_TRUE(catalog_.Rescan().ok());
  scanner_.error = absl::OkStatus();
  EXPECT_EQ(ReasonOf(backend_.FindInUse({Grant(1, 2, 2)}).status()), v1::DEVICE_MISSING);
  EXPECT_FALSE(backend_.TakeBack(Grant(1, 2, 2)).ok());
}

TEST_F(RawBackendTest, GrantsOutliveTheDaemonUntilTheyAreForgotten) {
  ASSERT_TRUE(backend_.Prepare(Grant(1, 2, 2)).ok());
  ASSERT_TRUE(backend_.Prepare(Grant(1, 2, 4)).ok());  // it grew
  ASSERT_TRUE(backend_.Prepare(Grant(2, 8, 2)).ok());
  ASSERT_TRUE(backend_.Forget(Grant(2, 8, 2)).ok());
  RawBackend next(v1::EMULATED, "host-a", catalog_, scanner_, records_);
  const auto recalled = next.Recall();
  ASSERT_TRUE(recalled.ok()) << recalled.status();
  ASSERT_EQ(recalled->size(), 1u);
  EXPECT_EQ((*recalled)[0].runs(0).extents(0).length_bytes(), uint64_t{4} << 20);
}

TEST_F(RawBackendTest, ARecordThatCannotBeReadIsAnErrorNotAnEmptyList) {
  records_.records["1"] = "\xff";
  EXPECT_FALSE(backend_.Recall().ok());
}

}  // namespace
}  // namespace weft
