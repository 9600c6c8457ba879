#include "server/core/crc32c.h"

#include <string_view>
#include <vector>

#include "gtest/gtest.h"

namespace weft {
namespace {

uint32_t Of(const std::vector<uint8_t>& bytes) { return Crc32c(bytes); }

TEST(Crc32c, CheckValue) {
  constexpr std::string_view kCheck = "123456789";
  EXPECT_EQ(Of({kCheck.begin(), kCheck.end()}), 0xE3069283u);
}

// RFC 3720, B.4.
TEST(Crc32c, VectorsOfTheStandard) {
  EXPECT_EQ(Of(std::vector<uint8_t>(32, 0x00)), 0x8A9136AAu);
  EXPECT_EQ(Of(std::vector<uint8_t>(32, 0xff)), 0x62A8AB43u);
  EXPECT_EQ(Of({}), 0u);
}

}  // namespace
}  // namespace weft
