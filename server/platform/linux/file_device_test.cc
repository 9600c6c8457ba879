#include "server/platform/linux/file_device.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/core/types.h"
#include "server/platform/linux/temp_dir.h"

namespace weft {
namespace {

constexpr ByteCount kSize{8 * kMiB.value()};

class FileDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    info_.name = "fam0";
    info_.kind = DeviceKind::kEmulated;
    info_.path = dir_.File("fam.img");
    info_.size = kSize;
    info_.alignment = kExtentUnit;
    std::ofstream(info_.path).close();
    std::filesystem::resize_file(info_.path, kSize.value());
    auto device = FileDevice::Open(info_);
    ASSERT_TRUE(device.ok()) << device.status();
    device_ = *std::move(device);
  }

  std::vector<uint8_t> Read(ByteOffset offset, size_t size) {
    std::vector<uint8_t> bytes(size);
    EXPECT_TRUE(device_->Read(offset, absl::MakeSpan(bytes)).ok());
    return bytes;
  }

  TempDir dir_;
  DaxInfo info_;
  std::unique_ptr<Device> device_;
};

TEST_F(FileDeviceTest, WritesAreReadBackWhereverTheyLie) {
  const std::vector<uint8_t> bytes(5000, 0xa5);
  for (uint64_t offset :
       {uint64_t{0}, uint64_t{1}, kExtentUnit.value() - 2500, kSize.value() - bytes.size()}) {
    ASSERT_TRUE(device_->Write(ByteOffset(offset), bytes).ok());
    EXPECT_EQ(Read(ByteOffset(offset), bytes.size()), bytes) << offset;
  }
}

TEST_F(FileDeviceTest, AnotherOpenSeesTheWrite) {
  auto other = FileDevice::Open(info_);
  ASSERT_TRUE(other.ok());
  ASSERT_TRUE(device_->Write(ByteOffset(100), std::vector<uint8_t>{1, 2, 3}).ok());
  std::vector<uint8_t> bytes(3);
  ASSERT_TRUE((*other)->Read(ByteOffset(100), absl::MakeSpan(bytes)).ok());
  EXPECT_EQ(bytes, (std::vector<uint8_t>{1, 2, 3}));
}

TEST_F(FileDeviceTest, ZeroClearsTheRangeAndNothingElse) {
  const std::vector<uint8_t> ones(kSize.value(), 1);
  ASSERT_TRUE(device_->Write(ByteOffset(0), ones).ok());
  for (const auto& [offset, length] : {std::pair{kExtentUnit.value(), kExtentUnit.value()},
                                       std::pair{uint64_t{100}, uint64_t{5000}}}) {
    ASSERT_TRUE(device_->Zero(ByteOffset(offset), ByteCount(length)).ok());
    const auto bytes = Read(ByteOffset(offset - 1), length + 2);
    EXPECT_EQ(bytes.front(), 1);
    EXPECT_EQ(bytes.back(), 1);
    EXPECT_EQ(std::count(bytes.begin(), bytes.end(), 0), static_cast<int64_t>(length));
  }
}

TEST_F(FileDeviceTest, ZeroGivesThePagesBack) {
  ASSERT_TRUE(device_->Write(ByteOffset(0), std::vector<uint8_t>(kSize.value(), 1)).ok());
  for (uint64_t at = 0; at < kSize.value(); at += kExtentUnit.value()) {
    ASSERT_TRUE(device_->Zero(ByteOffset(at), kExtentUnit).ok());
  }
  struct stat st;
  ASSERT_EQ(stat(info_.path.c_str(), &st), 0);
  EXPECT_EQ(st.st_blocks, 0);
}

TEST_F(FileDeviceTest, RangesOutsideAreRefused) {
  std::vector<uint8_t> bytes(2);
  for (uint64_t offset : {kSize.value() - 1, kSize.value(), UINT64_MAX, UINT64_MAX - 1}) {
    const ByteOffset at(offset);
    EXPECT_EQ(ReasonOf(device_->Read(at, absl::MakeSpan(bytes))), v1::BAD_SIZE) << offset;
    EXPECT_EQ(ReasonOf(device_->Write(at, bytes)), v1::BAD_SIZE) << offset;
    EXPECT_EQ(ReasonOf(device_->Zero(at, ByteCount(2))), v1::BAD_SIZE) << offset;
  }
  EXPECT_TRUE(device_->Read(ByteOffset(kSize.value()), {}).ok());
}

TEST_F(FileDeviceTest, FileTruncatedWhileOpenIsAnErrorNotADeath) {
  std::filesystem::resize_file(info_.path, 4096);
  std::vector<uint8_t> bytes(16);
  const ByteOffset lost(kSize.value() - 16);
  for (const absl::Status& status :
       {device_->Read(lost, absl::MakeSpan(bytes)), device_->Write(lost, bytes),
        device_->Zero(lost, ByteCount(16)), device_->OpenForClient(Access::kReadOnly).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_EQ(ReasonOf(status), v1::BACKING_FILE_DAMAGED) << status;
  }
  EXPECT_TRUE(device_->Read(ByteOffset(0), absl::MakeSpan(bytes)).ok());
}

TEST_F(FileDeviceTest, OpeningATruncatedOrMissingFileIsRefused) {
  std::filesystem::resize_file(info_.path, 4096);
  EXPECT_EQ(ReasonOf(FileDevice::Open(info_).status()), v1::BACKING_FILE_DAMAGED);
  std::filesystem::remove(info_.path);
  EXPECT_EQ(ReasonOf(FileDevice::Open(info_).status()), v1::DEVICE_MISSING);
}

TEST_F(FileDeviceTest, FileIsNotTakenForADevdax) {
  info_.kind = DeviceKind::kDevdax;
  EXPECT_EQ(ReasonOf(FileDevice::Open(info_).status()), v1::DEVICE_MISSING);
}

TEST_F(FileDeviceTest, ReadOnlyClientCannotMapForWriting) {
  auto fd = device_->OpenForClient(Access::kReadOnly);
  ASSERT_TRUE(fd.ok()) << fd.status();
  EXPECT_EQ(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd->get(), 0), MAP_FAILED);
  EXPECT_EQ(errno, EACCES);
  void* const readable = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd->get(), 0);
  ASSERT_NE(readable, MAP_FAILED);
  EXPECT_NE(mprotect(readable, 4096, PROT_READ | PROT_WRITE), 0);
  munmap(readable, 4096);
  EXPECT_LT(write(fd->get(), "x", 1), 0);
}

TEST_F(FileDeviceTest, ClientGetsTheOpenedFileEvenIfThePathNowLeadsElsewhere) {
  ASSERT_TRUE(device_->Write(ByteOffset(0), std::vector<uint8_t>{42}).ok());
  std::filesystem::remove(info_.path);
  std::ofstream(info_.path).close();
  auto fd = device_->OpenForClient(Access::kReadWrite);
  ASSERT_TRUE(fd.ok()) << fd.status();
  void* const mapping = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd->get(), 0);
  ASSERT_NE(mapping, MAP_FAILED);
  EXPECT_EQ(*static_cast<uint8_t*>(mapping), 42);
  munmap(mapping, 4096);
}

TEST_F(FileDeviceTest, AMarkLastsAsLongAsADescriptorOrMappingOfTheDescription) {
  auto fd = device_->OpenForClient(Access::kReadOnly);
  ASSERT_TRUE(fd.ok()) << fd.status();
  ASSERT_TRUE(device_->MarkForClient(fd->get(), 7).ok());
  EXPECT_TRUE(*device_->HasClient(7));
  EXPECT_FALSE(*device_->HasClient(8));
  // As in a child, or a process that it was passed to.
  auto copy = std::make_unique<UniqueFd>(dup(fd->get()));
  *fd = UniqueFd();
  EXPECT_TRUE(*device_->HasClient(7));
  void* const mapped = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, copy->get(), 0);
  ASSERT_NE(mapped, MAP_FAILED);
  copy.reset();
  EXPECT_TRUE(*device_->HasClient(7));
  munmap(mapped, 4096);
  EXPECT_FALSE(*device_->HasClient(7));
}

TEST_F(FileDeviceTest, EmulatedMemoryFailsAsAFileSaysUntilItIsScrubbed) {
  EXPECT_TRUE(device_->BadRanges()->empty());
  const std::string bad = info_.path + ".bad";
  std::ofstream(bad) << "8192 4096\n16384 4096\n";
  const ByteRange first{ByteOffset(8192), ByteCount(4096)};
  const ByteRange second{ByteOffset(16384), ByteCount(4096)};
  EXPECT_EQ(*device_->BadRanges(), (std::vector<ByteRange>{first, second}));
  ASSERT_TRUE(device_->Scrub(ByteOffset(0), ByteCount(12288), {1, 1}).ok());
  EXPECT_EQ(*device_->BadRanges(), std::vector<ByteRange>{second});
  std::ofstream(bad) << "all of it\n";
  EXPECT_EQ(ReasonOf(device_->BadRanges().status()), v1::BAD_ARGUMENT);
}

}  // namespace
}  // namespace weft
