#include "server/platform/linux/emulated_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/platform/linux/temp_dir.h"
#include "server/platform/unique_fd.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

constexpr ByteCount kSize{8 * kMiB.value()};

class EmulatedFileTest : public testing::Test {
 protected:
  absl::Status Check(ByteCount size = kSize) const {
    const UniqueFd fd(open(spec_.path.c_str(), O_RDONLY | O_CLOEXEC));
    return CheckEmulatedFile(fd.get(), spec_.path, size);
  }

  TempDir dir_;
  const EmulatedSpec spec_{dir_.File("fam.img"), kSize, "fam"};
};

TEST_F(EmulatedFileTest, IsCreatedSparseAndPrivate) {
  ASSERT_TRUE(CreateEmulatedFile(spec_).ok());
  EXPECT_TRUE(Check().ok());
  struct stat st;
  ASSERT_EQ(stat(spec_.path.c_str(), &st), 0);
  EXPECT_EQ(st.st_blocks, 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

TEST_F(EmulatedFileTest, CreationLeavesNothingElseBehind) {
  ASSERT_TRUE(CreateEmulatedFile(spec_).ok());
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_.File("")), {}), 1);
}

TEST_F(EmulatedFileTest, WhatExistsIsLeftAlone) {
  ASSERT_TRUE(CreateEmulatedFile(spec_).ok());
  fs::resize_file(spec_.path, 4096);
  ASSERT_TRUE(CreateEmulatedFile(spec_).ok());
  EXPECT_EQ(fs::file_size(spec_.path), 4096u);
}

TEST_F(EmulatedFileTest, NoFolderIsAnError) {
  EXPECT_EQ(ReasonOf(CreateEmulatedFile({dir_.File("no/fam.img"), kSize, "fam"})),
            v1::DEVICE_MISSING);
}

// Whoever finds the file finds it whole, however many create it at once.
TEST_F(EmulatedFileTest, ConcurrentCreatorsAgree) {
  std::vector<std::thread> creators;
  for (int i = 0; i < 8; ++i) {
    creators.emplace_back([&] {
      EXPECT_TRUE(CreateEmulatedFile(spec_).ok());
      EXPECT_TRUE(Check().ok());
    });
  }
  for (std::thread& creator : creators) creator.join();
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_.File("")), {}), 1);
}

TEST_F(EmulatedFileTest, TruncatedFileIsDamaged) {
  ASSERT_TRUE(CreateEmulatedFile(spec_).ok());
  fs::resize_file(spec_.path, kSize.value() - 1);
  const absl::Status status = Check();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReasonOf(status), v1::BACKING_FILE_DAMAGED);
  EXPECT_NE(status.message().find(spec_.path), absl::string_view::npos) << status;
}

TEST_F(EmulatedFileTest, LongerFileIsAnotherDevice) {
  ASSERT_TRUE(CreateEmulatedFile(spec_).ok());
  EXPECT_EQ(ReasonOf(Check(kSize - kExtentUnit)), v1::DEVICE_MISMATCH);
}

TEST_F(EmulatedFileTest, FolderIsNoDevice) {
  fs::create_directory(spec_.path);
  EXPECT_EQ(ReasonOf(Check()), v1::DEVICE_MISMATCH);
}

}  // namespace
}  // namespace weft
