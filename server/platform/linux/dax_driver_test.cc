#include "server/platform/linux/dax_driver.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/platform/fake_record_dir.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

// Files in the place of sysfs: they take what is written, and nothing follows from it. What a
// kernel makes of it, the test of two hosts with daemons shows.
class DaxDriverTest : public testing::Test {
 protected:
  DaxDriverTest() {
    bus_ = fs::path(testing::TempDir()) /
           testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(bus_);
    fs::create_directories(bus_ / "devices/dax0.0");
    for (const std::string driver : {"device_dax", "weft"}) {
      fs::create_directories(bus_ / "drivers" / driver);
      for (const std::string file : {"new_id", "bind", "unbind"}) {
        std::ofstream(bus_ / "drivers" / driver / file);
      }
    }
  }
  ~DaxDriverTest() override { fs::remove_all(bus_); }

  void SetDriver(const std::string& driver) {
    fs::create_symlink("../../drivers/" + driver, bus_ / "devices/dax0.0/driver");
  }
  std::string Written(const std::string& file) const {
    std::ostringstream text;
    text << std::ifstream(bus_ / "drivers" / file).rdbuf();
    return text.str();
  }

  fs::path bus_;
  FakeRecordDir records_;
};

TEST_F(DaxDriverTest, ADeviceThatIsBoundAlreadyIsLeftAlone) {
  SetDriver("weft");
  SysfsDaxDrivers drivers(bus_, records_);
  EXPECT_TRUE(drivers.Bind("dax0.0", "weft").ok());
  EXPECT_TRUE(records_.records.empty());
  EXPECT_EQ(Written("weft/unbind"), "");
}

TEST_F(DaxDriverTest, TheDriverBeforeIsRememberedAndTriedAgain) {
  SetDriver("device_dax");
  SysfsDaxDrivers drivers(bus_, records_);
  const absl::Status status = drivers.Bind("dax0.0", "weft");
  EXPECT_EQ(ReasonOf(status), v1::NOT_SUPPORTED) << status;
  EXPECT_EQ(records_.records["dax0.0"], "device_dax");
  EXPECT_EQ(Written("device_dax/unbind"), "dax0.0");
  EXPECT_EQ(Written("weft/new_id"), "dax0.0");
  EXPECT_EQ(Written("weft/bind"), "dax0.0");
}

TEST_F(DaxDriverTest, AMissingDriverIsNamed) {
  SysfsDaxDrivers drivers(bus_, records_);
  const absl::Status status = drivers.Bind("dax0.0", "fsdev_dax");
  EXPECT_FALSE(status.ok());
  EXPECT_NE(std::string(status.message()).find("fsdev_dax"), std::string::npos) << status;
}

TEST_F(DaxDriverTest, RestoreForgetsWhatIsDone) {
  records_.records["dax0.0"] = "device_dax";
  SetDriver("device_dax");
  SysfsDaxDrivers drivers(bus_, records_);
  EXPECT_TRUE(drivers.Restore("dax0.0").ok());
  EXPECT_TRUE(records_.records.empty());
}

}  // namespace
}  // namespace weft
