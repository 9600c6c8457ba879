#include "server/platform/emulated_spec.h"

#include "gtest/gtest.h"
#include "server/core/errors.h"

namespace weft {
namespace {

TEST(EmulatedSpec, ReadsKeysInAnyOrder) {
  const auto spec = ParseEmulatedSpec("name=fam0,size=1G,path=/dev/shm/fam.img");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(*spec, (EmulatedSpec{"/dev/shm/fam.img", kGiB, "fam0"}));
}

TEST(EmulatedSpec, NameDefaultsToTheFile) {
  const auto spec = ParseEmulatedSpec("path=/a/b/fam.img,size=6291456");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->name, "fam.img");
  EXPECT_EQ(spec->size, ByteCount(6291456));
}

TEST(EmulatedSpec, ReadsWhatTheHostSaysOfTheDevice) {
  const auto plain = ParseEmulatedSpec("path=/x,size=8M");
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_FALSE(plain->software_coherent);
  EXPECT_EQ(plain->numa_distance, 0u);
  const auto spec = ParseEmulatedSpec("path=/x,size=8M,coherence=software,distance=21");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_TRUE(spec->software_coherent);
  EXPECT_EQ(spec->numa_distance, 21u);
}

TEST(EmulatedSpec, SizesArePowersOf1024) {
  for (const auto& [text, size] : {std::pair{"8192k", uint64_t{8} << 20},
                                   {"8M", uint64_t{8} << 20},
                                   {"3G", uint64_t{3} << 30},
                                   {"2T", uint64_t{2} << 40}}) {
    const auto spec = ParseEmulatedSpec(std::string("path=/x,size=") + text);
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_EQ(spec->size.value(), size);
  }
}

TEST(EmulatedSpec, RefusesBadSizes) {
  for (const char* size : {"0", "2M", "4M", "7M", "8MB", "-8M", "M", "1.5G", "9223372036854775808",
                           "8388608T", "99999999999999999999"}) {
    const auto spec = ParseEmulatedSpec(std::string("path=/x,size=") + size);
    EXPECT_EQ(ReasonOf(spec.status()), v1::BAD_SIZE) << size;
    EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument) << size;
  }
}

TEST(EmulatedSpec, RefusesEverythingElse) {
  for (const char* text :
       {"", "path=/x,size=8M,", "path=,size=8M", "size=8M", "/x", "path=/x,size=8M,mode=1",
        "path=/x/,size=8M", "path=/x,size=8M,name=a b", "path=/x,size=8M,distance=9",
        "path=/x,size=8M,distance=255", "path=/x,size=8M,distance=near"}) {
    const auto spec = ParseEmulatedSpec(text);
    EXPECT_EQ(ReasonOf(spec.status()), v1::BAD_ARGUMENT) << text;
  }
  EXPECT_EQ(ReasonOf(ParseEmulatedSpec("path=/x").status()), v1::BAD_SIZE);
}

}  // namespace
}  // namespace weft
