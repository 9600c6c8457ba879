#include "server/node/kmod_dax.h"

#include <map>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/node/device_catalog.h"
#include "server/node/fake_signatures.h"
#include "server/platform/fake_clock.h"
#include "server/platform/fake_device.h"
#include "server/platform/fake_kmod.h"
#include "server/platform/fake_random.h"
#include "server/platform/fake_record_dir.h"

namespace weft {
namespace {

constexpr char kName[] = "dax0.0";

// A dax bus with one device.
class FakeBus final : public Dax, public DaxDrivers {
 public:
  absl::StatusOr<DaxListing> List() override {
    DaxInfo info;
    info.name = kName;
    info.path = "/dev/dax0.0";
    info.device_number = 1;  // as FakeKmod numbers its first
    info.size = media->size();
    info.alignment = kExtentUnit;
    info.driver = driver;
    DaxListing listing;
    listing.usable.push_back(std::move(info));
    return listing;
  }
  absl::StatusOr<std::unique_ptr<Device>> Open(const DaxInfo& info) override {
    return std::make_unique<FakeDevice>(info.name, media);
  }
  absl::Status Bind(const std::string&, const std::string& to) override {
    before = driver;
    driver = to;
    return absl::OkStatus();
  }
  absl::Status Restore(const std::string&) override {
    driver = before;
    return absl::OkStatus();
  }

  std::shared_ptr<FakeMedia> media = std::make_shared<FakeMedia>(ByteCount(64 * kMiB.value()));
  std::string driver = "device_dax";
  std::string before = "device_dax";
};

class KmodDaxTest : public testing::Test {
 protected:
  KmodDaxTest() { Restart(); }

  // A new daemon.
  void Restart(std::set<std::string> unused = {}) {
    catalog_.reset();
    dax_ = std::make_unique<KmodDax>(bus_, kmod_, bus_, released_, std::move(unused),
                                     [this](const KmodDeviceInfo&, const DaxInfo& info) {
                                       ++opens_;
                                       return bus_.Open(info);
                                     });
    catalog_ = std::make_unique<DeviceCatalog>(*dax_, FormatTools{clock_, random_, probe_});
  }
  void Rescan() { ASSERT_TRUE(catalog_->Rescan().ok()); }
  // Formats the device and has it taken over.
  void Format(bool force = false) {
    Rescan();
    ASSERT_TRUE(catalog_->Format(kName, force).ok());
    Rescan();
  }
  bool IsTaken() { return bus_.driver == "weft" && kmod_.ListDevices()->size() == 1; }
  KnownDevice Known() { return *catalog_->FindByName(kName); }
  absl::Status HoldSegment() {
    const KmodDeviceId device = kmod_.ListDevices()->at(0).id;
    return kmod_.CreateSegment(SegmentId(7), {1, 1}, Access::kReadWrite,
                               {{{{device, ByteOffset(2 << 20), kExtentUnit}}, ByteCount(0)}});
  }

  FakeClock clock_;
  FakeRandom random_;
  FakeSignatureProbe probe_;
  FakeBus bus_;
  FakeKmod kmod_;
  FakeRecordDir released_;
  int opens_ = 0;
  std::unique_ptr<KmodDax> dax_;
  std::unique_ptr<DeviceCatalog> catalog_;
};

TEST_F(KmodDaxTest, ADeviceIsTakenOverOnceItHasALabel) {
  Rescan();
  EXPECT_EQ(bus_.driver, "device_dax");
  Format();
  EXPECT_TRUE(IsTaken());
  EXPECT_TRUE(Known().skipped.ok()) << Known().skipped;
  EXPECT_EQ(kmod_.ListDevices()->at(0).uuid, Known().label.device);
}

TEST_F(KmodDaxTest, ATakenDeviceCanBeFormattedAgain) {
  Format();
  const DeviceId before = Known().label.device;
  Format(/*force=*/true);
  EXPECT_NE(Known().label.device, before);
  EXPECT_TRUE(Known().skipped.ok()) << Known().skipped;
  ASSERT_EQ(kmod_.ListDevices()->size(), 1u);
  EXPECT_EQ(kmod_.ListDevices()->at(0).uuid, Known().label.device);
  const int opens = opens_;
  Rescan();
  EXPECT_EQ(opens_, opens);  // as it is
}

TEST_F(KmodDaxTest, AReleasedDeviceIsLeftAloneByDaemonsToCome) {
  Format();
  const auto info = catalog_->SetReleased(kName, true);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_NE(info->skipped().find("was given back"), std::string::npos);
  EXPECT_EQ(bus_.driver, "device_dax");
  EXPECT_TRUE(kmod_.ListDevices()->empty());
  Restart();
  Rescan();
  EXPECT_EQ(bus_.driver, "device_dax");
  EXPECT_TRUE(catalog_->Inventory().devices().empty());

  ASSERT_TRUE(catalog_->SetReleased(kName, false).ok());
  EXPECT_TRUE(IsTaken());
  EXPECT_EQ(catalog_->Inventory().devices_size(), 1);
}

TEST_F(KmodDaxTest, ADeviceWithASegmentIsKept) {
  Format();
  ASSERT_TRUE(HoldSegment().ok());
  const absl::Status status = catalog_->SetReleased(kName, true).status();
  EXPECT_EQ(ReasonOf(status), v1::IN_USE);
  EXPECT_NE(std::string(status.message()).find(kName), std::string::npos) << status;
  EXPECT_TRUE(released_.records.empty());
  dax_->GiveBackAll();
  EXPECT_TRUE(IsTaken());
}

TEST_F(KmodDaxTest, ADeviceIsKeptWhileNobodyCanReadWhetherItWasReleased) {
  Format();
  released_.read_error = absl::UnknownError("Input/output error");
  Rescan();
  EXPECT_TRUE(IsTaken());
  EXPECT_TRUE(Known().skipped.ok()) << Known().skipped;
}

TEST_F(KmodDaxTest, ADaemonThatEndsGivesBackWhatItsSuccessorTakesAgain) {
  Format();
  dax_->GiveBackAll();
  EXPECT_EQ(bus_.driver, "device_dax");
  Restart();
  Rescan();
  EXPECT_TRUE(IsTaken());
}

TEST_F(KmodDaxTest, ADeviceThatIsNotToBeUsedAnyMoreIsGivenBack) {
  Format();
  Restart({kName});
  Rescan();
  EXPECT_EQ(bus_.driver, "device_dax");
  EXPECT_EQ(ReasonOf(Known().skipped), v1::NOT_ALLOWED);
}

TEST_F(KmodDaxTest, WhatADaemonLeftHalfTakenIsTaken) {
  Format();
  ASSERT_TRUE(kmod_.RemoveDevice(kmod_.ListDevices()->at(0).id).ok());
  Restart();
  Rescan();
  EXPECT_EQ(kmod_.ListDevices()->size(), 1u);
}

}  // namespace
}  // namespace weft
