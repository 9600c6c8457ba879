#include "server/platform/linux/dax_claim.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/platform/linux/temp_dir.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

// A host with blocks of 128 MiB and one device of 256 MiB at 4 GiB, which dax_kmem has.
class DaxClaimTest : public testing::Test {
 protected:
  DaxClaimTest() : sys_(dir_.File("sys")), rules_(dir_.File("rules")) {
    Write("devices/system/memory/block_size_bytes", "8000000");
    for (const int block : {0, 31, 32, 33, 34}) {
      Write(absl::StrCat("devices/system/memory/memory", block, "/state"),
            block < 32 || block == 34 ? "online" : "offline");
    }
    Write("bus/dax/devices/dax0.0/resource", "0x100000000");
    Write("bus/dax/devices/dax0.0/size", "268435456");
    fs::create_directories(rules_);
    Bind("kmem");
    options_.sys = sys_;
    options_.rules_dir = rules_;
    options_.program = "/usr/bin/weft";
    options_.bind = [this](const std::string&, const std::string& driver) {
      ++binds_;
      Bind(driver);
      return absl::OkStatus();
    };
  }

  void Write(const std::string& path, const std::string& text) {
    fs::create_directories((sys_ / path).parent_path());
    std::ofstream(sys_ / path) << text << "\n";
  }
  void Bind(const std::string& driver) {
    const fs::path link = sys_ / "bus/dax/devices/dax0.0/driver";
    fs::remove(link);
    if (!driver.empty()) fs::create_symlink("../../drivers/" + driver, link);
  }
  std::string Rule() const {
    std::ostringstream text;
    text << std::ifstream(rules_ / "90-weft-0x100000000.rules").rdbuf();
    return text.str();
  }

  TempDir dir_;
  const fs::path sys_;
  const fs::path rules_;
  int binds_ = 0;
  DaxClaimOptions options_;
};

TEST_F(DaxClaimTest, MemoryThatIsOfflineIsTakenForGood) {
  const auto claim = ClaimDax("dax0.0", options_);
  ASSERT_TRUE(claim.ok()) << claim.status();
  EXPECT_EQ(claim->driver_before, "kmem");
  EXPECT_EQ(claim->driver, "device_dax");
  EXPECT_TRUE(claim->changed);
  EXPECT_EQ(claim->rule, rules_ / "90-weft-0x100000000.rules");
  EXPECT_NE(Rule().find("DRIVER==\"kmem\", ATTR{resource}==\"0x100000000\", "
                        "RUN+=\"/usr/bin/weft device claim --offline %k\""),
            std::string::npos)
      << Rule();
}

TEST_F(DaxClaimTest, AgainIsNoChange) {
  ASSERT_TRUE(ClaimDax("/dev/dax0.0", options_).ok());
  const auto again = ClaimDax("dax0.0", options_);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_FALSE(again->changed);
  EXPECT_EQ(binds_, 1);
}

TEST_F(DaxClaimTest, MemoryThatIsOnlineStaysUnlessAskedFor) {
  Write("devices/system/memory/memory33/state", "online");
  const absl::Status status = ClaimDax("dax0.0", options_).status();
  EXPECT_EQ(ReasonOf(status), v1::IN_USE);
  EXPECT_NE(std::string(status.message()).find("daxctl offline-memory dax0.0"), std::string::npos);
  EXPECT_EQ(binds_, 0);
  EXPECT_EQ(Rule(), "");

  options_.offline = true;
  EXPECT_TRUE(ClaimDax("dax0.0", options_).ok());
  std::string state;
  std::ifstream(sys_ / "devices/system/memory/memory33/state") >> state;
  EXPECT_EQ(state, "offline");
  std::ifstream(sys_ / "devices/system/memory/memory34/state") >> state;
  EXPECT_EQ(state, "online");  // another's
}

TEST_F(DaxClaimTest, WhatDoesNotEmptyStaysAndTheRestComesBack) {
  Write("devices/system/memory/memory32/state", "online");
  Write("devices/system/memory/memory32/valid_zones", "Movable");
  // Not to be written to: what a block answers whose pages stay is for real kernels to show.
  fs::remove(sys_ / "devices/system/memory/memory33/state");
  fs::create_directory(sys_ / "devices/system/memory/memory33/state");
  options_.offline = true;
  const absl::Status status = ClaimDax("dax0.0", options_).status();
  for (const char* what : {"dax0.0 stays system memory", "memory33"}) {
    EXPECT_NE(std::string(status.message()).find(what), std::string::npos) << status;
  }
  std::string other;
  std::ifstream(sys_ / "devices/system/memory/memory32/state") >> other;
  EXPECT_EQ(other, "online_movable");
  EXPECT_EQ(binds_, 0);
  EXPECT_EQ(Rule(), "");
}

// Its first bytes are in a block of other memory, which stays what it is.
TEST_F(DaxClaimTest, ABlockThatIsPartlyOfTheDeviceIsNotIts) {
  Write("devices/system/memory/memory32/state", "online");
  Write("bus/dax/devices/dax0.0/resource", "0x100200000");
  Write("bus/dax/devices/dax0.0/size", "266338304");
  EXPECT_TRUE(ClaimDax("dax0.0", options_).ok());
}

TEST_F(DaxClaimTest, AllRangesOfADeviceCount) {
  Write("bus/dax/devices/dax0.0/mapping0/start", "0x100000000");
  Write("bus/dax/devices/dax0.0/mapping0/end", "0x107ffffff");
  Write("bus/dax/devices/dax0.0/mapping1/start", "0x110000000");
  Write("bus/dax/devices/dax0.0/mapping1/end", "0x117ffffff");
  EXPECT_EQ(ReasonOf(ClaimDax("dax0.0", options_).status()), v1::IN_USE);  // memory34
}

TEST_F(DaxClaimTest, WhatWeftHasGetsTheRuleOnly) {
  Bind("weft");
  const auto claim = ClaimDax("dax0.0", options_);
  ASSERT_TRUE(claim.ok()) << claim.status();
  EXPECT_EQ(claim->driver, "weft");
  EXPECT_EQ(binds_, 0);
  EXPECT_NE(Rule(), "");
}

TEST_F(DaxClaimTest, MemoryThatComesOnlineAtBootIsAWarning) {
  EXPECT_EQ(ClaimDax("dax0.0", options_)->warning, "");
  Write("devices/system/memory/auto_online_blocks", "online");
  EXPECT_NE(ClaimDax("dax0.0", options_)->warning.find("memhp_default_state=offline"),
            std::string::npos);
}

TEST_F(DaxClaimTest, WhatDeviceDaxDoesNotTakeGoesBack) {
  options_.bind = [this](const std::string&, const std::string& driver) {
    Bind(driver == "kmem" ? driver : "");
    return driver == "kmem" ? absl::OkStatus() : absl::UnavailableError("refused");
  };
  EXPECT_EQ(ClaimDax("dax0.0", options_).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(fs::read_symlink(sys_ / "bus/dax/devices/dax0.0/driver").filename(), "kmem");
  EXPECT_EQ(Rule(), "");
}

TEST_F(DaxClaimTest, WithoutARuleNothingIsTaken) {
  fs::remove_all(rules_);
  EXPECT_FALSE(ClaimDax("dax0.0", options_).ok());
  EXPECT_EQ(binds_, 0);
}

TEST_F(DaxClaimTest, WhatCannotBeTakenIsSaid) {
  Bind("hmem");
  EXPECT_EQ(ReasonOf(ClaimDax("dax0.0", options_).status()), v1::IN_USE);
  const absl::Status unknown = ClaimDax("dax1.0", options_).status();
  EXPECT_EQ(ReasonOf(unknown), v1::DEVICE_NOT_FOUND);
  EXPECT_NE(std::string(unknown.message()).find("dax0.0"), std::string::npos);
  EXPECT_EQ(ReasonOf(ClaimDax("../dax0.0", options_).status()), v1::DEVICE_NOT_FOUND);
  fs::remove(sys_ / "bus/dax/devices/dax0.0/resource");
  EXPECT_EQ(ReasonOf(ClaimDax("dax0.0", options_).status()), v1::NOT_ALLOWED);
}

}  // namespace
}  // namespace weft
