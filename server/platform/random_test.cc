#include "server/platform/random.h"

#include <set>

#include "gtest/gtest.h"
#include "server/platform/fake_random.h"

namespace weft {
namespace {

TEST(Random, UuidsAreOfVersion4AndDiffer) {
  FakeRandom random;
  std::set<Uuid> seen;
  for (int i = 0; i < 1000; ++i) {
    const Uuid id = NewUuid(random);
    const std::string text = id.ToString();
    EXPECT_EQ(text[14], '4') << text;
    EXPECT_NE(std::string("89ab").find(text[19]), std::string::npos) << text;
    EXPECT_TRUE(seen.insert(id).second) << text;
  }
}

TEST(Random, FakeRepeatsItselfBySeed) {
  FakeRandom a(7), b(7), c(8);
  const Random128 first = NewRandom128(a);
  EXPECT_EQ(first, NewRandom128(b));
  EXPECT_NE(first, NewRandom128(c));
  EXPECT_NE(first, NewRandom128(a));
}

}  // namespace
}  // namespace weft
