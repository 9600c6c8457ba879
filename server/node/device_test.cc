// Formatting, the challenge and the scrub on real files, through the real platform.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/node/exchange.h"
#include "server/node/exchange_check.h"
#include "server/node/format.h"
#include "server/node/label_io.h"
#include "server/node/scrubber.h"
#include "server/platform/fake_random.h"
#include "server/platform/linux/clock.h"
#include "server/platform/linux/dax.h"
#include "server/platform/linux/signatures.h"
#include "server/platform/linux/temp_dir.h"

namespace weft {
namespace {

constexpr ByteCount kCapacity{16 * kMiB.value()};

class RealDeviceTest : public testing::Test {
 protected:
  // The device that one host opens on `file`, which is created if it does not exist.
  std::shared_ptr<Device> Open(const std::string& file) {
    auto dax = LinuxDax::Create({.emulated = {{dir_.File(file), kCapacity, file}}});
    EXPECT_TRUE(dax.ok()) << dax.status();
    auto listing = (*dax)->List();
    EXPECT_TRUE(listing.ok()) << listing.status();
    EXPECT_EQ(listing->usable.size(), 1u);
    auto device = (*dax)->Open(listing->usable.at(0));
    EXPECT_TRUE(device.ok()) << device.status();
    return *std::move(device);
  }
  absl::StatusOr<Label> Format(Device& device, bool force = false) {
    return FormatDevice(device, {.force = force}, {clock_, random_, probe_});
  }

  TempDir dir_;
  LinuxClock clock_;
  FakeRandom random_;
  LinuxSignatureProbe probe_;
};

TEST_F(RealDeviceTest, FormattedDeviceIsKnownAgainByAnotherHost) {
  const auto a = Open("fam.img");
  const auto label = Format(*a);
  ASSERT_TRUE(label.ok()) << label.status();
  const auto b = Open("fam.img");
  const auto reading = ReadLabel(*b);
  ASSERT_TRUE(reading.ok()) << reading.status();
  EXPECT_EQ(reading->verdict.label, *label);
}

TEST_F(RealDeviceTest, SignatureOfAnotherProgramIsRefusedByNameUnlessForced) {
  const auto device = Open("fam.img");
  ASSERT_TRUE(device->Write(ByteOffset(1024 + 56), std::vector<uint8_t>{0x53, 0xef}).ok());
  const absl::Status status = Format(*device).status();
  EXPECT_EQ(ReasonOf(status), v1::FOREIGN_DATA);
  EXPECT_NE(status.message().find("ext2"), absl::string_view::npos) << status;
  ASSERT_TRUE(Format(*device, /*force=*/true).ok());
  const auto found = probe_.Find(*device);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(*found, std::nullopt);
}

TEST_F(RealDeviceTest, FamfsIsRefused) {
  const auto device = Open("fam.img");
  const std::vector<uint8_t> magic = {0xff, 0x82, 0xb2, 0x87, 0, 0, 0, 0};
  ASSERT_TRUE(device->Write(ByteOffset(0), magic).ok());
  const absl::Status status = Format(*device).status();
  EXPECT_EQ(ReasonOf(status), v1::FOREIGN_DATA);
  EXPECT_NE(status.message().find("famfs"), absl::string_view::npos) << status;
}

TEST_F(RealDeviceTest, ClonedFileIsCaughtByTheChallenge) {
  const auto original = Open("fam.img");
  const auto label = Format(*original);
  ASSERT_TRUE(label.ok());
  ASSERT_TRUE(std::filesystem::copy_file(dir_.File("fam.img"), dir_.File("clone.img")));
  const auto clone = Open("clone.img");
  ASSERT_EQ(ReadLabel(*clone)->verdict.label, *label);

  const ExchangeEntry entry{NewRandom128(random_), 1, 1};
  ASSERT_TRUE(WriteExchange(*original, 0, entry).ok());
  EXPECT_TRUE(HasExchange(*Open("fam.img"), 0, entry));
  EXPECT_FALSE(HasExchange(*clone, 0, entry));
}

TEST_F(RealDeviceTest, ScrubZeroesTheDataRangeAndLeavesTheLabel) {
  const auto device = Open("fam.img");
  const auto label = Format(*device);
  ASSERT_TRUE(label.ok());
  const DataRange data = DataRangeOf(kCapacity);
  ASSERT_TRUE(device->Write(data.offset, std::vector<uint8_t>(data.length.value(), 7)).ok());

  Scrubber* running = nullptr;
  absl::Status outcome = absl::UnknownError("not over");
  Scrubber scrubber(clock_, ByteCount(0), [&](const ScrubReport& report) {
    if (!report.over) return;
    outcome = report.status;
    running->Stop();
  });
  running = &scrubber;
  scrubber.SetWriteDeadline(BootTime::InfiniteFuture());
  ASSERT_TRUE(scrubber.Submit({1, device, data.offset, data.length}).ok());
  scrubber.Run();
  EXPECT_TRUE(outcome.ok()) << outcome;

  std::vector<uint8_t> bytes(data.length.value(), 1);
  ASSERT_TRUE(device->Read(data.offset, absl::MakeSpan(bytes)).ok());
  EXPECT_EQ(std::count(bytes.begin(), bytes.end(), 0), static_cast<int64_t>(bytes.size()));
  EXPECT_EQ(ReadLabel(*device)->verdict.label, *label);
}

// The last copy of the label is gone with the end of the file.
TEST_F(RealDeviceTest, TruncatedFileIsDataLossWhereverItIsTouched) {
  const auto device = Open("fam.img");
  ASSERT_TRUE(Format(*device).ok());
  std::filesystem::resize_file(dir_.File("fam.img"), 4 << 20);
  EXPECT_EQ(ReasonOf(ReadLabel(*device).status()), v1::BACKING_FILE_DAMAGED);
  EXPECT_EQ(ReasonOf(WriteExchange(*device, 0, {})), v1::BACKING_FILE_DAMAGED);
  EXPECT_EQ(ReasonOf(Format(*device, /*force=*/true).status()), v1::BACKING_FILE_DAMAGED);
}

}  // namespace
}  // namespace weft
