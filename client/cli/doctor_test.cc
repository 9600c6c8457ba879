#include "client/cli/doctor.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace weft::cli {
namespace {

namespace fs = std::filesystem;

// A host where all is well; tests spoil it.
class DoctorTest : public testing::Test {
 protected:
  DoctorTest() {
    root_ = fs::path(testing::TempDir()) /
            testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    fs::create_directories(root_ / "sys/module/weft");
    Write("dev/weft", "");
    Write("sys/bus/dax/devices/dax0.0/align", "2097152");
    Bind("device_dax");
  }
  ~DoctorTest() override { fs::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text << "\n";
  }
  void Bind(const std::string& driver) {
    const fs::path link = root_ / "sys/bus/dax/devices/dax0.0/driver";
    fs::remove(link);
    if (!driver.empty()) fs::create_symlink("../../drivers/" + driver, link);
  }
  // The one finding.
  Finding Only() {
    const std::vector<Finding> findings = Examine(root_);
    EXPECT_EQ(findings.size(), 1u);
    return findings.empty() ? Finding() : findings[0];
  }
  static bool Contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }

  fs::path root_;
};

TEST_F(DoctorTest, AHostWhereAllIsWellHasNoFindings) {
  EXPECT_TRUE(Examine(root_).empty());
  Bind("weft");
  EXPECT_TRUE(Examine(root_).empty());
  Bind("fsdev_dax");
  EXPECT_TRUE(Examine(root_).empty());
}

TEST_F(DoctorTest, TheModuleIsNotLoaded) {
  fs::remove_all(root_ / "sys/module/weft");
  Write("sys/kernel/security/lockdown", "[none] integrity confidentiality");
  EXPECT_EQ(Only().object, "module");
  EXPECT_TRUE(Contains(Only().remedy, "modprobe weft"));
  EXPECT_FALSE(Contains(Only().problem, "signed"));
}

TEST_F(DoctorTest, AnUnsignedModuleUnderLockdown) {
  fs::remove_all(root_ / "sys/module/weft");
  Write("sys/kernel/security/lockdown", "none [integrity] confidentiality");
  EXPECT_TRUE(Contains(Only().problem, "signed modules only"));
  EXPECT_TRUE(Contains(Only().remedy, "mokutil"));
  fs::remove_all(root_ / "sys/kernel");
  Write("sys/module/module/parameters/sig_enforce", "Y");
  EXPECT_TRUE(Contains(Only().problem, "signed modules only"));
}

TEST_F(DoctorTest, TheModuleHasNoDevice) {
  fs::remove(root_ / "dev/weft");
  EXPECT_TRUE(Contains(Only().problem, "/dev/weft"));
}

TEST_F(DoctorTest, ADriverIsInTheWay) {
  Bind("famfs_dax");
  EXPECT_EQ(Only().object, "dax0.0");
  EXPECT_TRUE(Contains(Only().remedy, "drivers/famfs_dax/unbind"));
}

TEST_F(DoctorTest, NoDriver) {
  Bind("");
  EXPECT_EQ(Only().remedy, "daxctl enable-device dax0.0");
}

TEST_F(DoctorTest, TheDeviceIsOnlineAsSystemMemory) {
  Bind("kmem");
  Write("sys/devices/system/memory/block_size_bytes", "8000000");
  Write("sys/devices/system/memory/memory31/state", "online");  // the host's own
  Write("sys/devices/system/memory/memory32/state", "online");
  Write("sys/devices/system/memory/memory33/state", "offline");
  Write("sys/bus/dax/devices/dax0.0/resource", "0x100000000");
  Write("sys/bus/dax/devices/dax0.0/size", "268435456");
  EXPECT_TRUE(Contains(Only().problem, "1 block is online"));
  EXPECT_TRUE(Contains(Only().remedy, "weft device claim --offline dax0.0"));
  Write("sys/devices/system/memory/memory32/state", "offline");
  EXPECT_FALSE(Contains(Only().remedy, "--offline"));
}

TEST_F(DoctorTest, ClaimedMemoryComesOnlineWhenTheHostStarts) {
  Write("sys/devices/system/memory/auto_online_blocks", "online_movable");
  EXPECT_TRUE(Examine(root_).empty());
  Write("etc/udev/rules.d/90-weft-0x100000000.rules", "");
  EXPECT_TRUE(Contains(Only().problem, "overwritten"));
  EXPECT_TRUE(Contains(Only().remedy, "memhp_default_state=offline"));
  Write("sys/devices/system/memory/auto_online_blocks", "offline");
  EXPECT_TRUE(Examine(root_).empty());
}

TEST_F(DoctorTest, NoHugePageAlignment) {
  Write("sys/bus/dax/devices/dax0.0/align", "4096");
  EXPECT_TRUE(Contains(Only().problem, "4096"));
  EXPECT_TRUE(Contains(Only().remedy, "--align=2M"));
}

TEST_F(DoctorTest, NoDevices) {
  fs::remove_all(root_ / "sys/bus/dax");
  EXPECT_EQ(Only().object, "devices");
}

}  // namespace
}  // namespace weft::cli
