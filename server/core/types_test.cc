#include "server/core/types.h"

#include <sstream>
#include <string>

#include "absl/hash/hash_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

using ::testing::HasSubstr;

constexpr char kText[] = "00112233-4455-6677-8899-aabbccddeeff";

Uuid ParseOrDie(std::string_view text) { return Uuid::Parse(text).value(); }

template <typename T>
std::string Print(const T& value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

TEST(StrongUintTest, KeepsKindsApart) {
  static_assert(!std::is_convertible_v<uint64_t, ByteCount>);
  static_assert(!std::is_convertible_v<ByteCount, uint64_t>);
  static_assert(!std::is_convertible_v<ByteCount, ByteOffset>);
  static_assert(!std::is_convertible_v<ByteCount, SegmentId>);
}

TEST(StrongUintTest, IsZeroUnlessSet) {
  EXPECT_EQ(ByteCount().value(), 0u);
  EXPECT_EQ(ByteCount(7).value(), 7u);
}

TEST(BytesTest, OffsetsAndCountsAdd) {
  const ByteOffset start(4096);
  EXPECT_EQ(start + ByteCount(10), ByteOffset(4106));
  EXPECT_EQ(ByteOffset(4106) - start, ByteCount(10));
  ByteCount total = kMiB + kMiB;
  EXPECT_EQ(total, kExtentUnit);
  total -= kMiB;
  total += kGiB;
  EXPECT_EQ(total, ByteCount((uint64_t{1} << 30) + (uint64_t{1} << 20)));
}

TEST(BytesTest, MultiplesOfAUnit) {
  EXPECT_TRUE(IsMultipleOf(0, kExtentUnit));
  EXPECT_TRUE(IsMultipleOf(4 << 20, kExtentUnit));
  EXPECT_FALSE(IsMultipleOf(1 << 20, kExtentUnit));
  EXPECT_FALSE(IsMultipleOf((2 << 20) + 1, kExtentUnit));
}

TEST(UuidTest, ParsesEitherCaseAndPrintsLower) {
  EXPECT_EQ(ParseOrDie(kText).ToString(), kText);
  EXPECT_EQ(ParseOrDie("00112233-4455-6677-8899-AABBCCDDEEFF"), ParseOrDie(kText));
  EXPECT_EQ(ParseOrDie(kText).bytes()[1], 0x11);
  EXPECT_EQ(ParseOrDie(kText).bytes()[15], 0xff);
}

TEST(UuidTest, RefusesAnythingElse) {
  for (const char* text :
       {"", "0", "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-aabbccddeef",
        "00112233-4455-6677-8899-aabbccddeeff0", "00112233-4455-6677-8899-aabbccddeefg",
        "{00112233-4455-6677-8899-aabbccddeeff}", " 00112233-4455-6677-8899-aabbccddeeff"}) {
    const auto uuid = Uuid::Parse(text);
    EXPECT_EQ(uuid.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(uuid.status().message()), HasSubstr(text));
  }
}

TEST(UuidTest, ParsesAPartOfALongerText) {
  const std::string longer = std::string(kText) + "/rest";
  EXPECT_EQ(ParseOrDie(std::string_view(longer).substr(0, 36)), ParseOrDie(kText));
}

TEST(UuidTest, NilIsTheDefault) {
  EXPECT_TRUE(Uuid().is_nil());
  EXPECT_EQ(ParseOrDie("00000000-0000-0000-0000-000000000000"), Uuid());
  EXPECT_FALSE(ParseOrDie(kText).is_nil());
}

TEST(UuidTest, Hashes) {
  EXPECT_TRUE(absl::VerifyTypeImplementsAbslHashCorrectly({Uuid(), ParseOrDie(kText)}));
}

TEST(TokenTest, EpochOrdersBeforeCounter) {
  EXPECT_LT((Token{1, 9}), (Token{2, 0}));
  EXPECT_LT((Token{2, 0}), (Token{2, 1}));
  EXPECT_LT(Token(), (Token{0, 1}));
  EXPECT_EQ(Print(Token{3, 14}), "3.14");
}

TEST(ExtentTest, EndIsOnePastItsLastByte) {
  const Extent extent{ParseOrDie(kText), ByteOffset(4096), ByteCount(8192)};
  EXPECT_EQ(extent.end(), ByteOffset(12288));
  EXPECT_EQ(Print(extent), std::string(kText) + "[4096+8192]");
}

}  // namespace
}  // namespace weft
