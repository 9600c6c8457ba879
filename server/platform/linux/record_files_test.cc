#include "server/platform/linux/record_files.h"

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/platform/linux/temp_dir.h"

namespace weft {
namespace {

using Records = std::map<std::string, std::string>;

TEST(RecordFilesTest, ASuccessorReadsWhatWasWritten) {
  TempDir dir;
  {
    auto records = RecordFiles::Open(dir.File("r"));
    ASSERT_TRUE(records.ok()) << records.status();
    ASSERT_TRUE((*records)->Write("1", "old").ok());
    ASSERT_TRUE((*records)->Write("1", std::string("n\0w", 3)).ok());
    ASSERT_TRUE((*records)->Write("2", "").ok());
    ASSERT_TRUE((*records)->Write("3", "x").ok());
    ASSERT_TRUE((*records)->Remove("3").ok());
    EXPECT_TRUE((*records)->Remove("3").ok());
  }
  auto records = RecordFiles::Open(dir.File("r"));
  ASSERT_TRUE(records.ok()) << records.status();
  const auto all = (*records)->ReadAll();
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(*all, Records({{"1", std::string("n\0w", 3)}, {"2", ""}}));
}

TEST(RecordFilesTest, HalfAWriteIsNoRecord) {
  TempDir dir;
  auto records = RecordFiles::Open(dir.File("r"));
  ASSERT_TRUE(records.ok());
  std::ofstream(dir.File("r/.1")) << "half";
  EXPECT_EQ(*(*records)->ReadAll(), Records());
}

TEST(RecordFilesTest, WhatCannotBeReadIsNoEmptyRecord) {
  TempDir dir;
  auto records = RecordFiles::Open(dir.File("r"));
  ASSERT_TRUE(records.ok());
  std::filesystem::create_directory(dir.File("r/1"));
  const absl::Status read = (*records)->ReadAll().status();
  EXPECT_FALSE(read.ok());
  EXPECT_NE(ReasonOf(read), v1::POISONED);  // that is for memory
}

TEST(RecordFilesTest, AFullDiskLeavesWhatWasThere) {
  TempDir dir;
  auto records = RecordFiles::Open(dir.File("r"));
  ASSERT_TRUE(records.ok());
  ASSERT_TRUE((*records)->Write("1", "old").ok());
  std::filesystem::create_symlink("/dev/full", dir.File("r/.1"));
  EXPECT_EQ((*records)->Write("1", "new").code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(*(*records)->ReadAll(), Records({{"1", "old"}}));
  EXPECT_TRUE((*records)->Write("1", "old").ok());  // nothing is to be written
}

TEST(RecordFilesTest, AFolderThatCannotBeMadeIsAnError) {
  TempDir dir;
  EXPECT_FALSE(RecordFiles::Open(dir.File("no/such")).ok());
}

}  // namespace
}  // namespace weft
