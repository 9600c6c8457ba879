#include "client/sdk/cache_ops.h"

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"

namespace weft {
namespace {

std::vector<uint8_t> Pattern(size_t size) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i * 7 + 1);
  return bytes;
}

TEST(CacheOps, SupportedProcessorsNameTheirMethod) {
#if defined(__x86_64__) || defined(__aarch64__)
  EXPECT_TRUE(CanControlCaches());
  EXPECT_NE(CacheMethodName(), "none");
#else
  EXPECT_FALSE(CanControlCaches());
  EXPECT_EQ(CacheMethodName(), "none");
#endif
}

// Nothing is lost and nothing outside is touched, wherever a range begins and ends.
TEST(CacheOps, WriteBackAndInvalidateKeepEveryByte) {
  const std::vector<uint8_t> expected = Pattern(1024);
  std::vector<uint8_t> bytes = expected;
  for (size_t begin = 0; begin < 130; ++begin) {
    for (size_t size : {0, 1, 15, 64, 65, 200}) {
      WriteBackCache(bytes.data() + begin, size);
      InvalidateCache(bytes.data() + begin, size);
    }
  }
  EXPECT_EQ(bytes, expected);
}

TEST(CacheOps, ZeroTouchesExactlyTheRange) {
  for (size_t begin = 0; begin < 70; ++begin) {
    for (size_t size : {0, 1, 3, 15, 16, 17, 31, 64, 100, 300}) {
      std::vector<uint8_t> expected = Pattern(512);
      std::vector<uint8_t> bytes = expected;
      std::fill_n(expected.begin() + begin, size, uint8_t{0});
      ZeroAndWriteBack(bytes.data() + begin, size);
      ASSERT_EQ(bytes, expected) << "begin " << begin << " size " << size;
    }
  }
}

}  // namespace
}  // namespace weft
