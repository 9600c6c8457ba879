#include "server/node/format.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "server/core/errors.h"
#include "server/node/exchange.h"
#include "server/node/fake_signatures.h"
#include "server/node/label_io.h"
#include "server/platform/fake_clock.h"
#include "server/platform/fake_device.h"
#include "server/platform/fake_random.h"

namespace weft {
namespace {

constexpr ByteCount kCapacity{8 * kMiB.value()};

class FormatTest : public testing::Test {
 protected:
  absl::StatusOr<Label> Format(bool force = false) {
    return FormatDevice(device_, {.pool = pool_, .force = force}, {clock_, random_, probe_});
  }
  std::vector<uint8_t> All() const { return media_->Peek(ByteOffset(0), kCapacity); }
  // Expects that formatting is refused for `reason`, with `what` named and all bytes kept,
  // and that force overrides.
  void ExpectRefused(v1::Reason reason, const std::string& what) {
    const std::vector<uint8_t> before = All();
    const absl::Status status = Format().status();
    EXPECT_EQ(ReasonOf(status), reason) << status;
    EXPECT_NE(status.message().find(what), absl::string_view::npos) << status;
    EXPECT_EQ(All(), before);
    EXPECT_TRUE(Format(/*force=*/true).ok());
  }

  const Uuid pool_ = *Uuid::Parse("6ba7b810-9dad-41d1-80b4-00c04fd430c8");
  const std::shared_ptr<FakeMedia> media_ = std::make_shared<FakeMedia>(kCapacity);
  FakeDevice device_{"fake0", media_};
  FakeClock clock_;
  FakeRandom random_;
  FakeSignatureProbe probe_;
};

TEST_F(FormatTest, BlankDeviceGetsALabelInBothCopies) {
  const auto label = Format();
  ASSERT_TRUE(label.ok()) << label.status();
  EXPECT_EQ(label->pool, pool_);
  EXPECT_EQ(label->capacity, kCapacity);
  EXPECT_EQ(label->created, clock_.UnixNow());
  EXPECT_FALSE(label->device.is_nil());
  const auto reading = ReadLabel(device_);
  ASSERT_TRUE(reading.ok());
  EXPECT_EQ(reading->verdict.label, *label);
  EXPECT_TRUE(reading->stale.empty());
}

TEST_F(FormatTest, UnitsAreZeroedAndWhatLiesBetweenIsKept) {
  media_->Poke(ByteOffset(0), std::vector<uint8_t>(kCapacity.value(), 0xaa));
  ASSERT_TRUE(Format().ok());
  const std::vector<uint8_t> bytes = All();
  for (const uint64_t unit : {uint64_t{0}, kCapacity.value() - kLabelUnit.value()}) {
    EXPECT_TRUE(std::all_of(bytes.begin() + unit + kLabelBytes,
                            bytes.begin() + unit + kLabelUnit.value(),
                            [](uint8_t b) { return b == 0; }));
  }
  const DataRange data = DataRangeOf(kCapacity);
  EXPECT_TRUE(std::all_of(bytes.begin() + data.offset.value(),
                          bytes.begin() + (data.offset + data.length).value(),
                          [](uint8_t b) { return b == 0xaa; }));
  const auto slot = ReadExchange(device_, 0);
  ASSERT_TRUE(slot.ok());
  EXPECT_FALSE(slot->first || slot->last);
}

TEST_F(FormatTest, LabelledDeviceIsRefused) {
  const auto label = Format();
  ASSERT_TRUE(label.ok());
  ExpectRefused(v1::FOREIGN_DATA, label->device.ToString());
}

TEST_F(FormatTest, DeviceWithOneGoodCopyIsRefused) {
  const auto label = Format();
  ASSERT_TRUE(label.ok());
  media_->Poke(ByteOffset(0), std::vector<uint8_t>(kLabelUnit.value()));
  ExpectRefused(v1::FOREIGN_DATA, label->device.ToString());
}

TEST_F(FormatTest, OneGoodCopyBesideUnknownDataIsRefused) {
  ASSERT_TRUE(Format().ok());
  media_->Poke(ByteOffset(0), std::vector<uint8_t>{1, 2, 3});
  ExpectRefused(v1::BAD_LABEL, "not Weft's");
}

TEST_F(FormatTest, LabelOfAResizedDeviceIsRefused) {
  Label label;
  label.device = NewUuid(random_);
  label.capacity = kGiB;
  ASSERT_TRUE(WriteLabelCopy(device_, label, LabelCopy::kFirst).ok());
  ExpectRefused(v1::FOREIGN_DATA, label.device.ToString());
}

TEST_F(FormatTest, DamagedLabelIsRefused) {
  ASSERT_TRUE(Format().ok());
  media_->Poke(ByteOffset(100), std::vector<uint8_t>{1});
  media_->Poke(LabelOffset(LabelCopy::kLast, kCapacity) + ByteCount(100), std::vector<uint8_t>{1});
  ExpectRefused(v1::BAD_LABEL, "checksum");
}

TEST_F(FormatTest, KnownSignatureIsRefusedByName) {
  probe_.found = "xfs filesystem";
  ExpectRefused(v1::FOREIGN_DATA, "xfs");
}

TEST_F(FormatTest, FormattingAnewGivesANewDevice) {
  const auto first = Format();
  const auto second = Format(/*force=*/true);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(first->device, second->device);
}

TEST_F(FormatTest, TooSmallADeviceIsRefusedEvenByForce) {
  FakeDevice small("small", std::make_shared<FakeMedia>(ByteCount(4 << 20)));
  const auto label = FormatDevice(small, {.force = true}, {clock_, random_, probe_});
  EXPECT_EQ(ReasonOf(label.status()), v1::BAD_SIZE);
}

TEST_F(FormatTest, BadMemoryUnderTheLabelIsReported) {
  media_->Poison(LabelOffset(LabelCopy::kLast, kCapacity));
  EXPECT_EQ(ReasonOf(Format(/*force=*/true).status()), v1::POISONED);
}

// Cut off anywhere, there is no label or a whole one, never a wrong one, and formatting
// again succeeds.
TEST_F(FormatTest, CrashLeavesADeviceThatCanBeFormatted) {
  const uint64_t total = 2 * (kLabelUnit.value() + kLabelBytes);
  for (uint64_t cut = 0; cut < total; cut += total / 97) {
    media_->Poke(ByteOffset(0), std::vector<uint8_t>(kCapacity.value()));
    media_->CrashAfterWriting(ByteCount(cut));
    ASSERT_FALSE(Format().ok());
    media_->Recover();
    const auto reading = ReadLabel(device_);
    ASSERT_TRUE(reading.ok());
    const LabelState state = reading->verdict.state;
    ASSERT_TRUE(state == LabelState::kAbsent || state == LabelState::kGood ||
                state == LabelState::kDamaged)
        << state;
    ASSERT_TRUE(Format(/*force=*/true).ok());
  }
}

}  // namespace
}  // namespace weft
