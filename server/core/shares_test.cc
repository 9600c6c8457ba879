#include "server/core/shares.h"

#include "gtest/gtest.h"

namespace weft {
namespace {

TEST(SharesTest, OneUserMayHaveHalfAndTheNextHalfOfWhatIsLeft) {
  Shares shares(16);
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(shares.Take("a")) << i;
  EXPECT_FALSE(shares.Take("a"));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(shares.Take("b")) << i;
  EXPECT_FALSE(shares.Take("b"));
  EXPECT_TRUE(shares.Take("c"));
}

TEST(SharesTest, WhatIsReturnedMayBeTakenByAnyone) {
  Shares shares(4);
  EXPECT_TRUE(shares.Take("a", 2));
  EXPECT_FALSE(shares.Take("a"));
  shares.Return("a", 2);
  EXPECT_TRUE(shares.Take("b", 2));
  EXPECT_TRUE(shares.Take("a"));
}

TEST(SharesTest, WhatIsRefusedTakesNothing) {
  Shares shares(4);
  EXPECT_FALSE(shares.Take("a", 5));
  EXPECT_TRUE(shares.Take("a", 2));
}

}  // namespace
}  // namespace weft
