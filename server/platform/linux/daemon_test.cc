#include "server/platform/linux/daemon.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "gtest/gtest.h"
#include "server/platform/linux/temp_dir.h"

namespace weft {
namespace {

std::string Contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

TEST(ReadyFile, TakesThePlaceOfTheLastAndLeavesNothingElse) {
  const TempDir dir;
  ASSERT_TRUE(WriteReadyFile(dir.File("ready"), "listen=a\nmetrics=b\n").ok());
  ASSERT_TRUE(WriteReadyFile(dir.File("ready"), "listen=c\n").ok());
  EXPECT_EQ(Contents(dir.File("ready")), "listen=c\n");
  const std::filesystem::directory_iterator files(dir.File(""));
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

TEST(ReadyFile, CanFail) {
  EXPECT_TRUE(WriteReadyFile("", "text").ok()) << "nobody wants one";
  EXPECT_EQ(WriteReadyFile("/nowhere/ready", "text").code(), absl::StatusCode::kFailedPrecondition);
}

TEST(StopSignals, AreBlockedAndCanBeWaitedFor) {
  const sigset_t signals = BlockStopSignals();
  ASSERT_EQ(raise(SIGTERM), 0) << "ends this process if it is not blocked";
  int signal_number = 0;
  ASSERT_EQ(sigwait(&signals, &signal_number), 0);
  EXPECT_EQ(signal_number, SIGTERM);
}

}  // namespace
}  // namespace weft
