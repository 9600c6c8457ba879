#include "server/platform/linux/dax_classify.h"

#include "gtest/gtest.h"
#include "server/core/errors.h"

namespace weft {
namespace {

DaxInfo Devdax() {
  DaxInfo info;
  info.name = "dax0.0";
  info.path = "/dev/dax0.0";
  info.size = kGiB;
  info.alignment = kExtentUnit;
  info.mode = DaxMode::kDevdax;
  info.driver = "device_dax";
  return info;
}

// What is wrong is said with the device's name and the way out.
void ExpectSkipped(const DaxInfo& info, std::string_view way_out) {
  const absl::Status why = CheckUsable(info, /*allow_raw_devdax=*/true);
  EXPECT_EQ(why.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(why), v1::NOT_SUPPORTED);
  EXPECT_NE(why.message().find("dax0.0"), absl::string_view::npos) << why;
  EXPECT_NE(why.message().find({way_out.data(), way_out.size()}), absl::string_view::npos) << why;
}

TEST(DaxClassify, DriversTellTheMode) {
  EXPECT_EQ(ModeOfDriver(""), DaxMode::kUnbound);
  EXPECT_EQ(ModeOfDriver("device_dax"), DaxMode::kDevdax);
  EXPECT_EQ(ModeOfDriver("kmem"), DaxMode::kSystemRam);
  EXPECT_EQ(ModeOfDriver("fsdev_dax"), DaxMode::kFsdev);
  EXPECT_EQ(ModeOfDriver("something"), DaxMode::kOther);
}

TEST(DaxClassify, DevdaxIsUsable) {
  EXPECT_TRUE(CheckUsable(Devdax(), true).ok());
  DaxInfo small_pages = Devdax();
  small_pages.alignment = ByteCount(4096);
  EXPECT_TRUE(CheckUsable(small_pages, true).ok());
}

TEST(DaxClassify, RawDevicesMustBeAllowedByName) {
  const absl::Status why = CheckUsable(Devdax(), /*allow_raw_devdax=*/false);
  EXPECT_EQ(ReasonOf(why), v1::NOT_ALLOWED);
  EXPECT_NE(why.message().find("--allow-raw-devdax"), absl::string_view::npos) << why;
}

TEST(DaxClassify, OtherModesAreSkippedWithTheWayOut) {
  DaxInfo info = Devdax();
  info.mode = DaxMode::kSystemRam;
  ExpectSkipped(info, "weft device claim dax0.0");
  info.mode = DaxMode::kUnbound;
  ExpectSkipped(info, "daxctl enable-device dax0.0");
  info.mode = DaxMode::kFsdev;
  ExpectSkipped(info, "device_dax");
  info.mode = DaxMode::kOther;
  ExpectSkipped(info, "device_dax");
}

TEST(DaxClassify, SizesAndAlignmentsThatDoNotFitAreSkipped) {
  DaxInfo info = Devdax();
  info.size = ByteCount(0);
  ExpectSkipped(info, "--size");
  info.size = kMinDeviceSize - kMiB;
  ExpectSkipped(info, "6291456");
  info = Devdax();
  info.alignment = kGiB;
  ExpectSkipped(info, "--align=2M");
  info.alignment = ByteCount(0);
  ExpectSkipped(info, "--align=2M");
}

}  // namespace
}  // namespace weft
