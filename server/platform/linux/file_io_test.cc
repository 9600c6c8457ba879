#include "server/platform/linux/file_io.h"

#include <fcntl.h>

#include <cerrno>
#include <string>

#include "gtest/gtest.h"
#include "server/platform/linux/temp_dir.h"
#include "server/platform/unique_fd.h"

namespace weft {
namespace {

TEST(FileIoTest, ReadsWhatWasWrittenAtAnOffset) {
  TempDir dir;
  const UniqueFd fd(open(dir.File("f").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(WriteFully(fd.get(), "0123456789", 10, 4096), 0);
  char read[4] = {};
  ASSERT_EQ(ReadFully(fd.get(), read, sizeof(read), 4096 + 6), 0);
  EXPECT_EQ(std::string(read, sizeof(read)), "6789");
}

TEST(FileIoTest, AFileThatEndsEarlyIsAnError) {
  TempDir dir;
  const UniqueFd fd(open(dir.File("f").c_str(), O_RDWR | O_CREAT, 0600));
  ASSERT_EQ(WriteFully(fd.get(), "01", 2, 0), 0);
  char read[4];
  EXPECT_EQ(ReadFully(fd.get(), read, sizeof(read), 0), EIO);
}

TEST(FileIoTest, ErrorsAreTheKernels) {
  const UniqueFd full(open("/dev/full", O_RDWR));
  EXPECT_EQ(WriteFully(full.get(), "x", 1, 0), ENOSPC);
  char read[1];
  EXPECT_EQ(ReadFully(-1, read, sizeof(read), 0), EBADF);
}

TEST(FileIoTest, AFileIsSwappedWholeOrNotAtAll) {
  TempDir dir;
  ASSERT_EQ(SwapFile(dir.File("f"), dir.File("f.new"), "before-and-longer"), 0);
  ASSERT_EQ(SwapFile(dir.File("f"), dir.File("f.new"), "after"), 0);
  EXPECT_EQ(ReadWord(dir.File("f")), "after");
  EXPECT_EQ(SwapFile(dir.File("f"), "/dev/full", "lost"), ENOSPC);
  EXPECT_EQ(SwapFile(dir.File("f"), dir.File("none/f.new"), "lost"), ENOENT);
  EXPECT_EQ(ReadWord(dir.File("f")), "after");
}

}  // namespace
}  // namespace weft
