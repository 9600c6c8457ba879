#include "server/node/exchange.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/node/exchange_check.h"
#include "server/platform/fake_device.h"
#include "server/platform/fake_random.h"

namespace weft {
namespace {

constexpr ByteCount kCapacity{8 * kMiB.value()};

class ExchangeTest : public testing::Test {
 protected:
  ExchangeEntry NewEntry(uint64_t writer) { return {NewRandom128(random_), ++sequence_, writer}; }

  FakeRandom random_;
  uint64_t sequence_ = 0;
  const std::shared_ptr<FakeMedia> media_ = std::make_shared<FakeMedia>(kCapacity);
  FakeDevice holder_{"dax0.0", media_};
  FakeDevice newcomer_{"dax3.1", media_};
};

TEST_F(ExchangeTest, SameMemoryPassesBothWays) {
  const ExchangeEntry from_holder = NewEntry(1), from_newcomer = NewEntry(2);
  ASSERT_TRUE(WriteExchange(holder_, 1, from_holder).ok());
  EXPECT_TRUE(HasExchange(newcomer_, 1, from_holder));
  ASSERT_TRUE(WriteExchange(newcomer_, 2, from_newcomer).ok());
  EXPECT_TRUE(HasExchange(holder_, 2, from_newcomer));
}

// A clone has the same label and all earlier entries, but not what was written since.
TEST_F(ExchangeTest, CloneIsCaughtBothWays) {
  const ExchangeEntry old = NewEntry(1);
  ASSERT_TRUE(WriteExchange(holder_, 1, old).ok());
  FakeDevice clone("dax3.1", media_->Clone());
  ASSERT_TRUE(HasExchange(clone, 1, old));

  const ExchangeEntry fresh = NewEntry(1);
  ASSERT_TRUE(WriteExchange(holder_, 1, fresh).ok());
  EXPECT_FALSE(HasExchange(clone, 1, fresh));
  EXPECT_TRUE(HasExchange(clone, 1, old));

  ASSERT_TRUE(WriteExchange(clone, 2, NewEntry(2)).ok());
  EXPECT_FALSE(HasExchange(holder_, 2, NewEntry(2)));
}

// The hosts see one end of the same memory and another end of different memory.
TEST_F(ExchangeTest, BothAreasMustAgree) {
  const ExchangeEntry entry = NewEntry(1);
  for (const LabelCopy area : {LabelCopy::kFirst, LabelCopy::kLast}) {
    ASSERT_TRUE(WriteExchange(holder_, 9, entry).ok());
    media_->Poke(ExchangeOffset(9, area, kCapacity), std::vector<uint8_t>(kExchangeEntryBytes));
    EXPECT_FALSE(HasExchange(newcomer_, 9, entry));
    const auto reading = ReadExchange(newcomer_, 9);
    ASSERT_TRUE(reading.ok());
    EXPECT_EQ(reading->first.has_value(), area != LabelCopy::kFirst);
    EXPECT_EQ(reading->last.has_value(), area != LabelCopy::kLast);
  }
}

TEST_F(ExchangeTest, SlotsDoNotDisturbEachOther) {
  std::vector<ExchangeEntry> entries;
  for (uint32_t slot = 0; slot < kExchangeSlots; ++slot) {
    entries.push_back(NewEntry(slot));
    ASSERT_TRUE(WriteExchange(holder_, slot, entries.back()).ok());
  }
  for (uint32_t slot = 0; slot < kExchangeSlots; ++slot) {
    EXPECT_TRUE(HasExchange(newcomer_, slot, entries[slot])) << slot;
  }
}

TEST_F(ExchangeTest, AreasLieBetweenTheLabelAndTheEndOfItsUnit) {
  EXPECT_EQ(ExchangeOffset(0, LabelCopy::kFirst, kCapacity).value(), 1u << 20);
  EXPECT_EQ(ExchangeOffset(255, LabelCopy::kFirst, kCapacity).value(), (2u << 20) - 4096);
  EXPECT_EQ(ExchangeOffset(0, LabelCopy::kLast, kCapacity).value(), 7u << 20);
}

TEST_F(ExchangeTest, SlotsThatDoNotExistAreRefused) {
  EXPECT_EQ(ReasonOf(WriteExchange(holder_, kExchangeSlots, NewEntry(1))), v1::BAD_ARGUMENT);
  EXPECT_EQ(ReasonOf(ReadExchange(holder_, UINT32_MAX).status()), v1::BAD_ARGUMENT);
}

TEST_F(ExchangeTest, EveryFlippedBitOfAnEntryIsNoticed) {
  const auto good = EncodeExchange(NewEntry(7), 3, LabelCopy::kLast);
  ASSERT_TRUE(DecodeExchange(good, 3, LabelCopy::kLast).has_value());
  EXPECT_FALSE(DecodeExchange(good, 4, LabelCopy::kLast).has_value());
  EXPECT_FALSE(DecodeExchange(good, 3, LabelCopy::kFirst).has_value());
  for (size_t bit = 0; bit < kExchangeEntryBytes * 8; ++bit) {
    auto bytes = good;
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    EXPECT_FALSE(DecodeExchange(bytes, 3, LabelCopy::kLast).has_value()) << "bit " << bit;
  }
}

// The worked example of docs/formats.md.
TEST_F(ExchangeTest, BytesAreThoseOfTheDocument) {
  ExchangeEntry entry;
  for (uint8_t i = 0; i < 16; ++i) entry.nonce[i] = static_cast<uint8_t>(0x11 * i);
  entry.sequence = 5;
  entry.writer = 2;
  const auto bytes = EncodeExchange(entry, 3, LabelCopy::kLast);
  EXPECT_EQ(absl::BytesToHexString(std::string(bytes.begin(), bytes.end())),
            "57656674586368670300000001000000"
            "00112233445566778899aabbccddeeff"
            "05000000000000000200000000000000"
            "0000000000000000000000007ab467d1");
}

TEST_F(ExchangeTest, BadMemoryIsNotTakenForAMismatch) {
  media_->Poison(ExchangeOffset(5, LabelCopy::kFirst, kCapacity));
  EXPECT_EQ(ReasonOf(ReadExchange(newcomer_, 5).status()), v1::POISONED);
}

}  // namespace
}  // namespace weft
