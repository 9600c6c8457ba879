#include "server/node/label.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"
#include "server/core/crc32c.h"
#include "server/core/little_endian.h"

namespace weft {
namespace {

constexpr ByteCount kCapacity = kGiB;

using Bytes = std::array<uint8_t, kLabelBytes>;

// The label of the worked example in docs/formats.md.
Label Example() {
  Label label;
  label.device = *Uuid::Parse("3f2504e0-4f89-41d3-9a0c-0305e82c3301");
  label.pool = *Uuid::Parse("6ba7b810-9dad-41d1-80b4-00c04fd430c8");
  label.capacity = kCapacity;
  label.power_epoch = 1;
  label.created = absl::FromUnixSeconds(1767225600);  // 2026-01-01 00:00:00 UTC
  label.sequence = 1;
  return label;
}

LabelVerdict Parse(const Bytes& bytes, LabelCopy copy = LabelCopy::kFirst) {
  return ParseLabel(bytes, copy, kCapacity);
}

// Makes the checksum right again after a change.
Bytes Sealed(Bytes bytes) {
  StoreLittleEndian<uint32_t>(bytes.data() + 4092, Crc32c({bytes.data(), 4092}));
  return bytes;
}

LabelVerdict Good(uint64_t sequence, const Label& base = Example()) {
  LabelVerdict verdict{LabelState::kGood, base, ""};
  verdict.label.sequence = sequence;
  return verdict;
}

LabelVerdict Bad(LabelState state) { return {state, {}, "bad"}; }

TEST(Label, SurvivesTheRoundTrip) {
  for (const LabelCopy copy : {LabelCopy::kFirst, LabelCopy::kLast}) {
    const LabelVerdict verdict = Parse(EncodeLabel(Example(), copy), copy);
    EXPECT_EQ(verdict.state, LabelState::kGood) << verdict.detail;
    EXPECT_EQ(verdict.label, Example());
  }
}

// The worked example of docs/formats.md, byte by byte: the format must never change under
// one version number.
TEST(Label, BytesAreThoseOfTheDocument) {
  const Bytes bytes = EncodeLabel(Example(), LabelCopy::kFirst);
  const std::string head(bytes.begin(), bytes.begin() + 96);
  EXPECT_EQ(absl::BytesToHexString(head),
            "576566744c61626c0100000000100000"
            "01000000000000003f2504e04f8941d3"
            "9a0c0305e82c33016ba7b8109dad41d1"
            "80b400c04fd430c80000004000000000"
            "00002000000000000100000000000000"
            "0000faed517286180000000000000000");
  EXPECT_EQ(std::vector<uint8_t>(bytes.begin() + 96, bytes.begin() + 4092),
            std::vector<uint8_t>(3996, 0));
  EXPECT_EQ(absl::BytesToHexString(std::string(bytes.begin() + 4092, bytes.end())), "7167e407");
}

TEST(Label, LiesInTheFirstAndTheLastWholeUnit) {
  EXPECT_EQ(LabelOffset(LabelCopy::kFirst, kGiB), ByteOffset(0));
  EXPECT_EQ(LabelOffset(LabelCopy::kLast, kGiB).value(), (1022ull << 20));
  EXPECT_EQ(DataRangeOf(kGiB), (DataRange{ByteOffset(2 << 20), ByteCount(1020ull << 20)}));
  // A device that does not end with a whole unit.
  const ByteCount odd = kGiB - ByteCount(4096);
  EXPECT_EQ(LabelOffset(LabelCopy::kLast, odd).value(), (1020ull << 20));
  EXPECT_EQ(DataRangeOf(odd).length.value(), (1018ull << 20));
  // The smallest device: one extent.
  EXPECT_EQ(DataRangeOf(ByteCount(6 << 20)).length, kExtentUnit);
}

TEST(Label, ZeroesAreNoLabel) { EXPECT_EQ(Parse(Bytes{}).state, LabelState::kAbsent); }

TEST(Label, OtherMagicIsForeign) {
  Bytes bytes = EncodeLabel(Example(), LabelCopy::kFirst);
  bytes[0] ^= 1;
  EXPECT_EQ(Parse(Sealed(bytes)).state, LabelState::kForeign);
}

TEST(Label, MagicThatIsPartlyWrittenIsDamagedNotForeign) {
  for (size_t written = 1; written < 8; ++written) {
    Bytes bytes{};
    std::copy_n(EncodeLabel(Example(), LabelCopy::kFirst).begin(), written, bytes.begin());
    EXPECT_EQ(Parse(bytes).state, LabelState::kDamaged) << written;
  }
}

TEST(Label, EveryFlippedBitIsNoticed) {
  const Bytes good = EncodeLabel(Example(), LabelCopy::kFirst);
  for (size_t bit = 0; bit < kLabelBytes * 8; ++bit) {
    Bytes bytes = good;
    bytes[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    const LabelState state = Parse(bytes).state;
    ASSERT_EQ(state, bit < 64 ? LabelState::kForeign : LabelState::kDamaged) << "bit " << bit;
  }
}

TEST(Label, SuperblockOfOthersInTheSamePageIsNoticed) {
  Bytes bytes = EncodeLabel(Example(), LabelCopy::kFirst);
  bytes[1024 + 56] = 0x53;  // ext2's magic
  bytes[1024 + 57] = 0xef;
  EXPECT_EQ(Parse(bytes).state, LabelState::kDamaged);
}

TEST(Label, NewerVersionIsToldFromDamage) {
  Bytes bytes = EncodeLabel(Example(), LabelCopy::kFirst);
  bytes[8] = 2;
  EXPECT_EQ(Parse(bytes).state, LabelState::kDamaged);
  EXPECT_EQ(Parse(Sealed(bytes)).state, LabelState::kNewer);
  bytes[8] = 0;
  EXPECT_EQ(Parse(Sealed(bytes)).state, LabelState::kDamaged);
}

TEST(Label, WholeLabelWithImpossibleFieldsIsDamaged) {
  const Bytes good = EncodeLabel(Example(), LabelCopy::kFirst);
  for (const size_t at : {size_t{13}, size_t{64}, size_t{88}, size_t{92}, size_t{4091}}) {
    Bytes bytes = good;
    bytes[at] ^= 1;
    EXPECT_EQ(Parse(Sealed(bytes)).state, LabelState::kDamaged) << "byte " << at;
  }
  Label nil = Example();
  nil.device = DeviceId();
  EXPECT_EQ(Parse(EncodeLabel(nil, LabelCopy::kFirst)).state, LabelState::kDamaged);
}

TEST(Label, CopyInTheOthersPlaceIsDamaged) {
  EXPECT_EQ(Parse(EncodeLabel(Example(), LabelCopy::kLast)).state, LabelState::kDamaged);
}

TEST(Label, OtherCapacityIsToldWithTheLabel) {
  const auto bytes = EncodeLabel(Example(), LabelCopy::kFirst);
  const LabelVerdict verdict = ParseLabel(bytes, LabelCopy::kFirst, kCapacity - kExtentUnit);
  EXPECT_EQ(verdict.state, LabelState::kWrongCapacity);
  EXPECT_EQ(verdict.label, Example());
}

// Mutations that keep the checksum right reach the field checks: whatever they are, what
// is good says again the same.
TEST(Label, RandomMutationsNeverGiveALabelThatCannotBeWritten) {
  std::mt19937_64 random(20260101);
  int good = 0;
  for (int i = 0; i < 20000; ++i) {
    Bytes bytes = EncodeLabel(Example(), LabelCopy::kFirst);
    for (uint64_t n = random() % 4; n > 0; --n) bytes[random() % 96] = random() & 0xff;
    if (random() % 2 == 0) bytes = Sealed(bytes);
    const LabelVerdict verdict = Parse(bytes);
    if (verdict.state != LabelState::kGood) continue;
    ++good;
    ASSERT_EQ(EncodeLabel(verdict.label, LabelCopy::kFirst), bytes);
  }
  EXPECT_GT(good, 1000);
}

TEST(JudgeLabels, NewerSequenceWins) {
  EXPECT_EQ(JudgeLabels(Good(4), Good(5)).label.sequence, 5u);
  EXPECT_EQ(JudgeLabels(Good(5), Good(4)).label.sequence, 5u);
  EXPECT_EQ(JudgeLabels(Good(5), Good(5)).state, LabelState::kGood);
}

TEST(JudgeLabels, OneGoodCopyIsEnough) {
  for (const LabelState state : {LabelState::kAbsent, LabelState::kDamaged}) {
    EXPECT_EQ(JudgeLabels(Good(1), Bad(state)).state, LabelState::kGood);
    EXPECT_EQ(JudgeLabels(Bad(state), Good(1)).label.sequence, 1u);
  }
}

// Repairing the other copy would destroy what is there.
TEST(JudgeLabels, GoodCopyBesideForeignDataIsDamaged) {
  EXPECT_EQ(JudgeLabels(Good(1), Bad(LabelState::kForeign)).state, LabelState::kDamaged);
  EXPECT_EQ(JudgeLabels(Bad(LabelState::kForeign), Good(1)).state, LabelState::kDamaged);
}

TEST(JudgeLabels, NewerVersionAndOtherCapacityOutweighAGoodCopy) {
  for (const LabelState state : {LabelState::kNewer, LabelState::kWrongCapacity}) {
    EXPECT_EQ(JudgeLabels(Good(1), Bad(state)).state, state);
    EXPECT_EQ(JudgeLabels(Bad(state), Good(1)).state, state);
    EXPECT_EQ(JudgeLabels(Bad(state), Bad(LabelState::kDamaged)).state, state);
  }
}

TEST(JudgeLabels, GoodCopiesThatContradictEachOtherAreDamaged) {
  Label other = Example();
  other.power_epoch = 2;
  EXPECT_EQ(JudgeLabels(Good(1), Good(1, other)).state, LabelState::kDamaged);
  EXPECT_EQ(JudgeLabels(Good(1), Good(2, other)).label, Good(2, other).label);
  other.device = *Uuid::Parse("3f2504e0-4f89-41d3-9a0c-0305e82c3302");
  EXPECT_EQ(JudgeLabels(Good(1), Good(2, other)).state, LabelState::kDamaged);
}

TEST(JudgeLabels, WithoutAGoodCopyTheWorseIsTold) {
  const LabelState order[] = {LabelState::kAbsent, LabelState::kForeign, LabelState::kDamaged};
  for (size_t i = 0; i < 3; ++i) {
    for (size_t j = 0; j < 3; ++j) {
      EXPECT_EQ(JudgeLabels(Bad(order[i]), Bad(order[j])).state, order[std::max(i, j)]);
    }
  }
}

}  // namespace
}  // namespace weft
