#include "server/node/label_io.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/node/fake_signatures.h"
#include "server/platform/fake_device.h"

namespace weft {
namespace {

constexpr ByteCount kCapacity{8 * kMiB.value()};

class LabelIoTest : public testing::Test {
 protected:
  LabelIoTest() {
    label_.device = *Uuid::Parse("3f2504e0-4f89-41d3-9a0c-0305e82c3301");
    label_.capacity = kCapacity;
    label_.power_epoch = 1;
    label_.created = absl::FromUnixSeconds(1767225600);
    label_.sequence = 1;
  }

  void WriteBoth() {
    for (const LabelCopy copy : {LabelCopy::kFirst, LabelCopy::kLast}) {
      ASSERT_TRUE(WriteLabelCopy(device_, label_, copy).ok());
    }
  }
  LabelReading Read() {
    const auto reading = ReadLabel(device_);
    EXPECT_TRUE(reading.ok()) << reading.status();
    return *reading;
  }
  // Puts zeroes, or others' bytes, over the start of a copy.
  void Overwrite(LabelCopy copy, size_t from, std::vector<uint8_t> bytes) {
    media_->Poke(LabelOffset(copy, kCapacity) + ByteCount(from), bytes);
  }

  Label label_;
  const std::shared_ptr<FakeMedia> media_ = std::make_shared<FakeMedia>(kCapacity);
  FakeDevice device_{"fake0", media_};
  FakeSignatureProbe probe_;
};

TEST_F(LabelIoTest, BlankDeviceHasNoLabel) {
  EXPECT_EQ(Read().verdict.state, LabelState::kAbsent);
  EXPECT_EQ(ReasonOf(LabelStatus(Read().verdict, "fake0")), v1::BAD_LABEL);
}

TEST_F(LabelIoTest, WrittenLabelIsReadWithNothingStale) {
  WriteBoth();
  const LabelReading reading = Read();
  EXPECT_TRUE(LabelStatus(reading.verdict, "fake0").ok());
  EXPECT_EQ(reading.verdict.label, label_);
  EXPECT_TRUE(reading.stale.empty());
}

TEST_F(LabelIoTest, DeviceTooSmallForALabelIsRefused) {
  FakeDevice small("small", std::make_shared<FakeMedia>(ByteCount(4 << 20)));
  EXPECT_EQ(ReasonOf(ReadLabel(small).status()), v1::BAD_SIZE);
}

TEST_F(LabelIoTest, EitherCopyIsRepairedFromTheOther) {
  for (const LabelCopy copy : {LabelCopy::kFirst, LabelCopy::kLast}) {
    for (const std::vector<uint8_t>& damage :
         {std::vector<uint8_t>(kLabelBytes, 0),
          std::vector<uint8_t>{'W', 'e', 'f', 't', 'L', 'a', 'b', 'l', 99}}) {
      WriteBoth();
      Overwrite(copy, 0, damage);
      const LabelReading reading = Read();
      ASSERT_EQ(reading.verdict.label, label_);
      ASSERT_EQ(reading.stale, std::vector<LabelCopy>{copy});
      ASSERT_TRUE(RepairLabel(device_, reading, probe_).ok());
      EXPECT_TRUE(Read().stale.empty());
    }
  }
}

TEST_F(LabelIoTest, RepairDoesNotDestroyWhatOverwroteTheCopy) {
  WriteBoth();
  Overwrite(LabelCopy::kFirst, 1024, {1, 2, 3});
  probe_.found = "ext4 filesystem";
  const absl::Status status = RepairLabel(device_, Read(), probe_);
  EXPECT_EQ(ReasonOf(status), v1::FOREIGN_DATA);
  EXPECT_NE(status.message().find("ext4"), absl::string_view::npos) << status;
  EXPECT_EQ(media_->Peek(ByteOffset(1024), ByteCount(3)), (std::vector<uint8_t>{1, 2, 3}));
}

TEST_F(LabelIoTest, OneCopyInBadMemoryIsEnough) {
  WriteBoth();
  media_->Poison(ByteOffset(100));
  const LabelReading reading = Read();
  EXPECT_EQ(reading.verdict.label, label_);
  EXPECT_EQ(reading.stale, std::vector<LabelCopy>{LabelCopy::kFirst});
  EXPECT_EQ(ReasonOf(RepairLabel(device_, reading, probe_)), v1::POISONED);
  EXPECT_EQ(Read().verdict.label, label_);
}

TEST_F(LabelIoTest, TwoBadCopiesAreDataLoss) {
  WriteBoth();
  Overwrite(LabelCopy::kFirst, 200, {1});
  Overwrite(LabelCopy::kLast, 300, {1});
  const absl::Status status = LabelStatus(Read().verdict, "fake0");
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReasonOf(status), v1::BAD_LABEL);
  EXPECT_NE(status.message().find("fake0"), absl::string_view::npos) << status;
}

TEST_F(LabelIoTest, ForeignDataAndOtherCapacitiesHaveTheirReasons) {
  Overwrite(LabelCopy::kFirst, 0, {1, 2, 3});
  EXPECT_EQ(ReasonOf(LabelStatus(Read().verdict, "fake0")), v1::FOREIGN_DATA);
  Overwrite(LabelCopy::kFirst, 0, {0, 0, 0});
  label_.capacity = kGiB;
  WriteBoth();
  EXPECT_EQ(ReasonOf(LabelStatus(Read().verdict, "fake0")), v1::DEVICE_MISMATCH);
}

TEST_F(LabelIoTest, UpdateRaisesTheSequenceInBothCopies) {
  WriteBoth();
  Label changed = label_;
  changed.power_epoch = 2;
  const auto written = UpdateLabel(device_, Read(), changed);
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->sequence, 2u);
  EXPECT_EQ(Read().verdict.label, *written);
  EXPECT_TRUE(Read().stale.empty());
}

// Wherever an update is cut off, also one that begins with a stale copy, the label is the
// old one or the new one, and repair makes it whole.
TEST_F(LabelIoTest, UpdateIsAtomicAtEveryByte) {
  for (const bool stale_first : {false, true}) {
    for (size_t cut = 0; cut <= 2 * kLabelBytes; cut += cut % kLabelBytes < 100 ? 1 : 61) {
      WriteBoth();
      if (stale_first) Overwrite(LabelCopy::kFirst, 0, std::vector<uint8_t>(kLabelBytes, 0));
      Label changed = label_;
      changed.power_epoch = 2;
      media_->CrashAfterWriting(ByteCount(cut));
      const auto written = UpdateLabel(device_, Read(), changed);
      media_->Recover();

      const LabelReading after = Read();
      ASSERT_EQ(after.verdict.state, LabelState::kGood) << "cut " << cut;
      const bool is_new = after.verdict.label.power_epoch == 2;
      ASSERT_EQ(after.verdict.label.sequence, is_new ? 2u : 1u);
      ASSERT_TRUE(is_new || !written.ok());
      ASSERT_TRUE(RepairLabel(device_, after, probe_).ok());
      ASSERT_TRUE(Read().stale.empty());
      ASSERT_EQ(Read().verdict.label, after.verdict.label);
    }
  }
}

}  // namespace
}  // namespace weft
