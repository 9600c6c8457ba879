#include "server/core/size_text.h"

#include <cstdint>
#include <limits>
#include <string>

#include "gtest/gtest.h"
#include "server/core/errors.h"

namespace weft {
namespace {

TEST(ParseSize, ReadsIntegersWithBinarySuffixes) {
  const struct {
    const char* text;
    uint64_t bytes;
  } cases[] = {
      {"0", 0},
      {"1", 1},
      {"2097152", 2097152},
      {"010", 10},
      {"4k", 4096},
      {"4K", 4096},
      {"512M", uint64_t{512} << 20},
      {"512m", uint64_t{512} << 20},
      {"1G", uint64_t{1} << 30},
      {"3T", uint64_t{3} << 40},
      {"1P", uint64_t{1} << 50},
      {"8191P", uint64_t{8191} << 50},
      {"9223372036854775807", (uint64_t{1} << 63) - 1},
  };
  for (const auto& c : cases) {
    const auto size = ParseSize(c.text);
    ASSERT_TRUE(size.ok()) << c.text << ": " << size.status();
    EXPECT_EQ(size->value(), c.bytes) << c.text;
  }
}

TEST(ParseSize, RefusesEverythingElseWithReasonAndTheTextItself) {
  for (const char* text : {"", " ", "M", "-1", "+1", " 1", "1 ", "1.5T", "1e3", "0x10", "1GB",
                           "1GiB", "1kk", "1E", "1,000", "\xc2\xb9", "1\xcb"}) {
    const auto size = ParseSize(text);
    ASSERT_FALSE(size.ok()) << text;
    EXPECT_EQ(size.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(ReasonOf(size.status()), v1::BAD_SIZE) << text;
    EXPECT_NE(std::string(size.status().message()).find(text), std::string::npos) << text;
  }
}

TEST(ParseSize, RefusesEmbeddedNul) {
  EXPECT_FALSE(ParseSize(std::string_view("1\0", 2)).ok());
  EXPECT_FALSE(ParseSize(std::string_view("1M\0", 3)).ok());
}

TEST(ParseSize, RefusesWhatReachesTheLimit) {
  for (const char* text :
       {"9223372036854775808", "18446744073709551616", "8192P", "16384P", "99999999999999999999",
        "99999999999999999999G", "9007199254740992k", "18446744073709551615P"}) {
    EXPECT_EQ(ReasonOf(ParseSize(text).status()), v1::BAD_SIZE) << text;
  }
}

TEST(FormatSize, UsesTheLargestUnitAndCutsOff) {
  EXPECT_EQ(FormatSize(ByteCount(0)), "0 B");
  EXPECT_EQ(FormatSize(ByteCount(1023)), "1023 B");
  EXPECT_EQ(FormatSize(ByteCount(1024)), "1.00 KiB");
  EXPECT_EQ(FormatSize(kExtentUnit), "2.00 MiB");
  EXPECT_EQ(FormatSize(ByteCount(kGiB.value() - 1)), "1023.99 MiB");
  EXPECT_EQ(FormatSize(ByteCount(kGiB.value() * 3 / 2)), "1.50 GiB");
  EXPECT_EQ(FormatSize(ByteCount(uint64_t{5} << 40)), "5.00 TiB");
  EXPECT_EQ(FormatSize(ByteCount(uint64_t{1} << 50)), "1.00 PiB");
  EXPECT_EQ(FormatSize(ByteCount(kMaxBytes.value() - 1)), "7.99 EiB");
  EXPECT_EQ(FormatSize(ByteCount(std::numeric_limits<uint64_t>::max())), "15.99 EiB");
}

}  // namespace
}  // namespace weft
