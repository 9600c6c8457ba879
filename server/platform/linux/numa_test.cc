#include "server/platform/linux/numa.h"

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"
#include "server/platform/linux/temp_dir.h"

namespace weft {
namespace {

class NumaDistanceTest : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = dir_.File(name);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << "\n";
  }
  std::string nodes() const { return dir_.File(""); }

 private:
  TempDir dir_;
};

TEST_F(NumaDistanceTest, IsCountedFromTheFirstNodeWithProcessors) {
  Write("has_cpu", "1-2");
  Write("online", "0-2,5");
  Write("node0/distance", "10 99 99 99");
  Write("node1/distance", "17 10 21 28");
  Write("node2/distance", "28 21 10 17");
  EXPECT_EQ(NumaDistance(nodes(), 0), 17u);
  EXPECT_EQ(NumaDistance(nodes(), 1), 10u);
  EXPECT_EQ(NumaDistance(nodes(), 2), 21u);
  EXPECT_EQ(NumaDistance(nodes(), 5), 28u) << "the fourth column is the fourth node online";
}

TEST_F(NumaDistanceTest, IsNotKnownOfNodesThatAreNotOnline) {
  Write("has_cpu", "0");
  Write("online", "0");
  Write("node0/distance", "10");
  EXPECT_EQ(NumaDistance(nodes(), -1), 0u);
  EXPECT_EQ(NumaDistance(nodes(), 1), 0u);
}

TEST_F(NumaDistanceTest, IsNotKnownWhereTheKernelSaysNothing) {
  EXPECT_EQ(NumaDistance(nodes(), 0), 0u);
  Write("has_cpu", "0");
  Write("online", "0-1");
  EXPECT_EQ(NumaDistance(nodes(), 0), 0u);
  Write("node0/distance", "10");
  EXPECT_EQ(NumaDistance(nodes(), 1), 0u) << "the row is too short";
  Write("has_cpu", "garbage");
  EXPECT_EQ(NumaDistance(nodes(), 0), 0u);
}

TEST(NumaDistance, ThisHostsFirstNodeIsLocal) {
  EXPECT_EQ(NumaDistance("/sys/devices/system/node", 0), 10u);
}

}  // namespace
}  // namespace weft
