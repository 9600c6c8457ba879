#include "server/platform/linux/dax.h"

#include <algorithm>
#include <filesystem>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/platform/linux/temp_dir.h"

namespace weft {
namespace {

constexpr ByteCount kSize{8 * kMiB.value()};

class LinuxDaxTest : public testing::Test {
 protected:
  std::unique_ptr<Dax> Create(std::vector<EmulatedSpec> emulated) {
    auto dax = LinuxDax::Create({.emulated = std::move(emulated)});
    EXPECT_TRUE(dax.ok()) << dax.status();
    return *std::move(dax);
  }
  EmulatedSpec Spec(const std::string& name) const { return {dir_.File(name), kSize, name}; }

  TempDir dir_;
};

TEST_F(LinuxDaxTest, ListsEmulatedDevicesByName) {
  const auto dax = Create({Spec("b"), Spec("a")});
  const auto listing = dax->List();
  ASSERT_TRUE(listing.ok()) << listing.status();
  ASSERT_EQ(listing->usable.size(), 2u);
  EXPECT_EQ(listing->usable[0].name, "a");
  EXPECT_EQ(listing->usable[1].name, "b");
  EXPECT_EQ(listing->usable[0].kind, DeviceKind::kEmulated);
  EXPECT_EQ(listing->usable[0].size, kSize);
  EXPECT_EQ(listing->usable[0].alignment, kExtentUnit);
  EXPECT_TRUE(dax->Open(listing->usable[0]).ok());
}

TEST_F(LinuxDaxTest, DamagedAndMissingFilesAreSkippedWithTheReason) {
  const auto dax = Create({Spec("a"), Spec("b"), Spec("c")});
  std::filesystem::resize_file(dir_.File("a"), 4096);
  std::filesystem::remove(dir_.File("b"));
  const auto listing = dax->List();
  ASSERT_TRUE(listing.ok()) << listing.status();
  ASSERT_EQ(listing->usable.size(), 1u);
  EXPECT_EQ(listing->usable[0].name, "c");
  const auto reason = [&](const std::string& name) {
    const auto it = std::find_if(listing->skipped.begin(), listing->skipped.end(),
                                 [&](const SkippedDax& s) { return s.name == name; });
    return it == listing->skipped.end() ? v1::REASON_UNSPECIFIED : ReasonOf(it->why);
  };
  EXPECT_EQ(reason("a"), v1::BACKING_FILE_DAMAGED);
  EXPECT_EQ(reason("b"), v1::DEVICE_MISSING);
}

TEST_F(LinuxDaxTest, NamesMustDiffer) {
  EmulatedSpec second = Spec("b");
  second.name = "a";
  EXPECT_EQ(ReasonOf(LinuxDax::Create({.emulated = {Spec("a"), second}}).status()),
            v1::BAD_ARGUMENT);
}

TEST_F(LinuxDaxTest, RealDeviceThatIsNotThereCannotBeOpened) {
  const auto dax = Create({});
  DaxInfo info;
  info.name = "dax9999.9";
  info.path = "/dev/dax9999.9";
  info.size = kSize;
  info.alignment = kExtentUnit;
  EXPECT_EQ(ReasonOf(dax->Open(info).status()), v1::DEVICE_MISSING);
}

}  // namespace
}  // namespace weft
