#include "server/platform/linux/signatures.h"

#include <cstring>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "server/platform/fake_device.h"

namespace weft {
namespace {

constexpr ByteCount kSize{64 * kMiB.value()};

class SignaturesTest : public testing::Test {
 protected:
  // Writes `text` at `offset` (from the end if negative).
  void Put(int64_t offset, const std::string& text) {
    const uint64_t at = offset < 0 ? kSize.value() + offset : offset;
    media_->Poke(ByteOffset(at), std::vector<uint8_t>(text.begin(), text.end()));
  }
  std::string Find() {
    const auto found = probe_.Find(device_);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() && *found ? **found : "";
  }

  const std::shared_ptr<FakeMedia> media_ = std::make_shared<FakeMedia>(kSize);
  FakeDevice device_{"fake0", media_};
  LinuxSignatureProbe probe_;
};

TEST_F(SignaturesTest, BlankDeviceHasNone) { EXPECT_EQ(Find(), ""); }

TEST_F(SignaturesTest, FindsFamfs) {
  Put(0, std::string("\xff\x82\xb2\x87\0\0\0\0", 8));
  EXPECT_EQ(Find(), "famfs filesystem");
}

TEST_F(SignaturesTest, AlmostFamfsIsNot) {
  Put(0, std::string("\xff\x82\xb2\x87\0\0\0\1", 8));
  EXPECT_EQ(Find(), "");
}

TEST_F(SignaturesTest, FindsSwap) {
  Put(4086, "SWAPSPACE2");
  Put(1024, std::string("\1\0\0\0\xff\0\0\0", 8));
  EXPECT_EQ(Find(), "swap other");
}

TEST_F(SignaturesTest, FindsExt2) {
  Put(1024 + 56, "\x53\xef");
  EXPECT_EQ(Find(), "ext2 filesystem");
}

TEST_F(SignaturesTest, FindsEncryptedVolume) {
  Put(0, std::string("LUKS\xba\xbe\0\1", 8));
  EXPECT_EQ(Find(), "crypto_LUKS crypto");
}

// Its signature is in the last 64 KiB.
TEST_F(SignaturesTest, FindsRaidMemberAtTheEnd) {
  Put(-65536, std::string("\xfc\x4e\x2b\xa9\0\0\0\0\x5a\0\0\0", 12));
  EXPECT_EQ(Find(), "linux_raid_member raid");
}

TEST_F(SignaturesTest, FindsBtrfsBeyondTheFirstPages) {
  Put(65536 + 64, "_BHRfS_M");
  EXPECT_EQ(Find(), "btrfs filesystem");
}

TEST_F(SignaturesTest, FindsPartitionTable) {
  Put(446, std::string("\0\0\x02\0\x83\0\0\0\0\x08\0\0\0\x10\0\0", 16));
  Put(510, "\x55\xaa");
  EXPECT_EQ(Find(), "dos partition table");
}

TEST_F(SignaturesTest, PoisonIsAnErrorNotABlankDevice) {
  media_->Poison(ByteOffset(1000));
  EXPECT_EQ(probe_.Find(device_).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace weft
