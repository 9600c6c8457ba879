#include "server/platform/linux/random.h"

#include <algorithm>
#include <vector>

#include "gtest/gtest.h"

namespace weft {
namespace {

TEST(LinuxRandom, FillsAllOfALargeBuffer) {
  LinuxRandom random;
  std::vector<uint8_t> bytes(100000);
  random.Fill(absl::MakeSpan(bytes));
  // About 390 zeroes are expected; an unfilled tail would add thousands.
  EXPECT_LT(std::count(bytes.begin(), bytes.end(), 0), 1000);
}

TEST(LinuxRandom, NoncesDiffer) {
  LinuxRandom random;
  EXPECT_NE(NewRandom128(random), NewRandom128(random));
}

}  // namespace
}  // namespace weft
