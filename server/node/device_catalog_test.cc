#include "server/node/device_catalog.h"

#include <map>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/node/fake_dax.h"
#include "server/node/fake_signatures.h"
#include "server/node/label_io.h"
#include "server/platform/fake_clock.h"
#include "server/platform/fake_random.h"

namespace weft {
namespace {

class DeviceCatalogTest : public testing::Test {
 protected:
  DeviceCatalogTest() { dax_.media["dax0.0"] = std::make_shared<FakeMedia>(kSize); }

  static constexpr ByteCount kSize{16 * kMiB.value()};

  DeviceId Format(const std::string& name) {
    EXPECT_TRUE(catalog_.Rescan().ok());
    const auto info = catalog_.Format(name, false);
    EXPECT_TRUE(info.ok()) << info.status();
    return *Uuid::Parse(info->uuid());
  }
  bool Rescan() {
    const absl::StatusOr<bool> changed = catalog_.Rescan();
    EXPECT_TRUE(changed.ok()) << changed.status();
    return changed.ok() && *changed;
  }

  FakeDax dax_;
  FakeClock clock_;
  FakeRandom random_;
  FakeSignatureProbe probe_;
  DeviceCatalog catalog_{dax_, {clock_, random_, probe_}};
};

TEST_F(DeviceCatalogTest, ADeviceWithoutALabelIsListedWithTheReasonAndNotReported) {
  EXPECT_TRUE(Rescan());
  EXPECT_FALSE(Rescan());
  ASSERT_EQ(catalog_.List().devices_size(), 1);
  EXPECT_NE(catalog_.List().devices(0).skipped(), "");
  EXPECT_EQ(catalog_.Inventory().devices_size(), 0);
}

TEST_F(DeviceCatalogTest, AFormattedDeviceIsReportedWithItsDataRange) {
  const DeviceId id = Format("dax0.0");
  ASSERT_EQ(catalog_.Inventory().devices_size(), 1);
  const v1::LocalDevice device = catalog_.Inventory().devices(0);
  EXPECT_EQ(device.uuid(), id.ToString());
  EXPECT_EQ(device.capacity_bytes(), kSize.value());
  EXPECT_EQ(device.data_offset_bytes(), kExtentUnit.value());
  EXPECT_EQ(device.data_bytes(), kSize.value() - 2 * kExtentUnit.value());
  EXPECT_FALSE(Rescan());
  EXPECT_TRUE(catalog_.Find(id).ok());
}

TEST_F(DeviceCatalogTest, ADeviceThatGoesAwayIsMissing) {
  const DeviceId id = Format("dax0.0");
  dax_.broken["dax0.0"] =
      MakeError(absl::StatusCode::kDataLoss, v1::BACKING_FILE_DAMAGED, "truncated");
  EXPECT_TRUE(Rescan());
  EXPECT_EQ(ReasonOf(catalog_.Find(id).status()), v1::DEVICE_MISSING);
  EXPECT_EQ(catalog_.Inventory().devices_size(), 0);
  EXPECT_EQ(catalog_.List().devices(0).skipped(), "truncated");
}

TEST_F(DeviceCatalogTest, OfTwoCopiesOnOneHostOneIsRefused) {
  Format("dax0.0");
  dax_.media["dax1.0"] = dax_.media["dax0.0"]->Clone();
  EXPECT_TRUE(Rescan());
  EXPECT_EQ(catalog_.Inventory().devices_size(), 1);
  EXPECT_EQ(ReasonOf(catalog_.FindByName("dax1.0")->skipped), v1::DEVICE_MISMATCH);
}

TEST_F(DeviceCatalogTest, ThePoolIsWrittenIntoTheLabelAndReported) {
  const DeviceId id = Format("dax0.0");
  const Uuid pool = NewUuid(random_);
  ASSERT_TRUE(catalog_.SetPool(id, pool).ok());
  EXPECT_TRUE(catalog_.SetPool(id, pool).ok());
  EXPECT_EQ(catalog_.Inventory().devices(0).pool_uuid(), pool.ToString());
  FakeDevice device("again", dax_.media["dax0.0"]);
  EXPECT_EQ(ReadLabel(device)->verdict.label.pool, pool);
}

TEST_F(DeviceCatalogTest, ALabelThatLostACopyIsRepaired) {
  Format("dax0.0");
  const std::vector<uint8_t> zeros(kLabelBytes);
  dax_.media["dax0.0"]->Poke(LabelOffset(LabelCopy::kLast, kSize), zeros);
  Rescan();
  FakeDevice device("again", dax_.media["dax0.0"]);
  EXPECT_TRUE(ReadLabel(device)->stale.empty());
}

TEST_F(DeviceCatalogTest, AnUnknownDeviceNamesThoseThereAre) {
  Rescan();
  const absl::Status status = catalog_.Format("dax9.9", false).status();
  EXPECT_EQ(ReasonOf(status), v1::DEVICE_NOT_FOUND);
  EXPECT_NE(status.message().find("dax0.0"), absl::string_view::npos);
}

}  // namespace
}  // namespace weft
