#include "server/node/label.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/core/crc32c.h"
#include "server/core/little_endian.h"
#include "server/platform/device.h"

namespace weft {
namespace {

constexpr std::array<uint8_t, 8> kMagic = {'W', 'e', 'f', 't', 'L', 'a', 'b', 'l'};

// Offsets of the fields. Those of the magic, the version, the size and the checksum are
// the same in every version.
constexpr size_t kMagicAt = 0;
constexpr size_t kVersionAt = 8;
constexpr size_t kSizeAt = 12;
constexpr size_t kSequenceAt = 16;
constexpr size_t kDeviceAt = 24;
constexpr size_t kPoolAt = 40;
constexpr size_t kCapacityAt = 56;
constexpr size_t kAlignmentAt = 64;
constexpr size_t kPowerEpochAt = 72;
constexpr size_t kCreatedAt = 80;
constexpr size_t kCopyAt = 88;
constexpr size_t kReservedAt = 92;
constexpr size_t kChecksumAt = kLabelBytes - 4;

void StoreUuid(uint8_t* to, const Uuid& id) { std::copy(id.bytes().begin(), id.bytes().end(), to); }

Uuid LoadUuid(const uint8_t* from) {
  std::array<uint8_t, 16> bytes;
  std::copy_n(from, bytes.size(), bytes.begin());
  return Uuid(bytes);
}

LabelVerdict Bad(LabelState state, std::string detail) { return {state, {}, std::move(detail)}; }

// `magic` is not the label's.
LabelVerdict JudgeOtherMagic(const uint8_t* magic) {
  bool all_zero = true;
  for (size_t i = 0; i < kMagic.size(); ++i) {
    if (magic[i] != 0 && magic[i] != kMagic[i]) {
      return Bad(LabelState::kForeign, "something that is not Weft's is in its place");
    }
    all_zero = all_zero && magic[i] == 0;
  }
  return all_zero ? LabelVerdict() : Bad(LabelState::kDamaged, "its writing was cut off");
}

// Reads a label whose checksum is right. A field that no writer of this version writes
// makes it damaged, or made up.
LabelVerdict ParseFields(const uint8_t* bytes, LabelCopy copy, ByteCount capacity) {
  LabelVerdict verdict{LabelState::kGood, {}, ""};
  Label& label = verdict.label;
  label.sequence = LoadLittleEndian<uint64_t>(bytes + kSequenceAt);
  label.device = LoadUuid(bytes + kDeviceAt);
  label.pool = LoadUuid(bytes + kPoolAt);
  label.capacity = ByteCount(LoadLittleEndian<uint64_t>(bytes + kCapacityAt));
  label.power_epoch = LoadLittleEndian<uint64_t>(bytes + kPowerEpochAt);
  label.created = absl::FromUnixNanos(LoadLittleEndian<int64_t>(bytes + kCreatedAt));

  if (LoadLittleEndian<uint32_t>(bytes + kCopyAt) != static_cast<uint32_t>(copy)) {
    return Bad(LabelState::kDamaged, "it is the other copy, in the wrong place");
  }
  if (LoadLittleEndian<uint64_t>(bytes + kAlignmentAt) != kLabelUnit.value()) {
    return Bad(LabelState::kDamaged, "its alignment is not 2 MiB");
  }
  if (std::any_of(bytes + kReservedAt, bytes + kChecksumAt, [](uint8_t b) { return b != 0; })) {
    return Bad(LabelState::kDamaged, "its reserved bytes are not zero");
  }
  if (label.device.is_nil()) return Bad(LabelState::kDamaged, "it has no device UUID");
  if (label.capacity != capacity) {
    verdict.state = LabelState::kWrongCapacity;
    verdict.detail = absl::StrCat("it was written for ", label.capacity.value(),
                                  " bytes, but the device has ", capacity.value());
  }
  return verdict;
}

LabelVerdict JudgeTwoGood(const LabelVerdict& first, const LabelVerdict& last) {
  if (first.label.device != last.label.device) {
    return Bad(LabelState::kDamaged, "its two copies are of two devices");
  }
  if (first.label.sequence == last.label.sequence && first.label != last.label) {
    return Bad(LabelState::kDamaged, "its two copies differ under one sequence number");
  }
  return first.label.sequence >= last.label.sequence ? first : last;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, LabelState state) {
  switch (state) {
    case LabelState::kGood:
      return out << "good";
    case LabelState::kAbsent:
      return out << "absent";
    case LabelState::kForeign:
      return out << "foreign";
    case LabelState::kDamaged:
      return out << "damaged";
    case LabelState::kNewer:
      return out << "newer";
    case LabelState::kWrongCapacity:
      return out << "wrong capacity";
  }
  return out << "invalid";
}

ByteOffset LabelOffset(LabelCopy copy, ByteCount capacity) {
  WEFT_CHECK(capacity >= kMinDeviceSize, capacity.value());
  if (copy == LabelCopy::kFirst) return ByteOffset(0);
  return ByteOffset((capacity.value() / kLabelUnit.value() - 1) * kLabelUnit.value());
}

DataRange DataRangeOf(ByteCount capacity) {
  const ByteOffset begin(kLabelUnit.value());
  return {begin, LabelOffset(LabelCopy::kLast, capacity) - begin};
}

std::array<uint8_t, kLabelBytes> EncodeLabel(const Label& label, LabelCopy copy) {
  std::array<uint8_t, kLabelBytes> bytes{};
  uint8_t* const p = bytes.data();
  std::copy(kMagic.begin(), kMagic.end(), p + kMagicAt);
  StoreLittleEndian<uint32_t>(p + kVersionAt, kLabelVersion);
  StoreLittleEndian<uint32_t>(p + kSizeAt, kLabelBytes);
  StoreLittleEndian<uint64_t>(p + kSequenceAt, label.sequence);
  StoreUuid(p + kDeviceAt, label.device);
  StoreUuid(p + kPoolAt, label.pool);
  StoreLittleEndian<uint64_t>(p + kCapacityAt, label.capacity.value());
  StoreLittleEndian<uint64_t>(p + kAlignmentAt, kLabelUnit.value());
  StoreLittleEndian<uint64_t>(p + kPowerEpochAt, label.power_epoch);
  StoreLittleEndian<uint64_t>(p + kCreatedAt,
                              static_cast<uint64_t>(absl::ToUnixNanos(label.created)));
  StoreLittleEndian<uint32_t>(p + kCopyAt, static_cast<uint32_t>(copy));
  StoreLittleEndian<uint32_t>(p + kChecksumAt, Crc32c({p, kChecksumAt}));
  return bytes;
}

LabelVerdict ParseLabel(absl::Span<const uint8_t> bytes, LabelCopy copy, ByteCount capacity) {
  WEFT_CHECK(bytes.size() == kLabelBytes, bytes.size());
  const uint8_t* const p = bytes.data();
  if (!std::equal(kMagic.begin(), kMagic.end(), p + kMagicAt)) return JudgeOtherMagic(p + kMagicAt);
  if (LoadLittleEndian<uint32_t>(p + kSizeAt) != kLabelBytes) {
    return Bad(LabelState::kDamaged, "its size is not 4096");
  }
  if (LoadLittleEndian<uint32_t>(p + kChecksumAt) != Crc32c({p, kChecksumAt})) {
    return Bad(LabelState::kDamaged, "its checksum is wrong");
  }
  const uint32_t version = LoadLittleEndian<uint32_t>(p + kVersionAt);
  if (version > kLabelVersion) {
    return Bad(LabelState::kNewer,
               absl::StrCat("it is of version ", version, ", the newest known is ", kLabelVersion));
  }
  if (version != kLabelVersion) return Bad(LabelState::kDamaged, "its version is 0");
  return ParseFields(p, copy, capacity);
}

LabelVerdict JudgeLabels(const LabelVerdict& first, const LabelVerdict& last) {
  for (const LabelState decisive : {LabelState::kNewer, LabelState::kWrongCapacity}) {
    if (first.state == decisive) return first;
    if (last.state == decisive) return last;
  }
  if (first.state == LabelState::kGood && last.state == LabelState::kGood) {
    return JudgeTwoGood(first, last);
  }
  const bool first_good = first.state == LabelState::kGood;
  if (first_good || last.state == LabelState::kGood) {
    const LabelVerdict& good = first_good ? first : last;
    const LabelVerdict& other = first_good ? last : first;
    if (other.state != LabelState::kForeign) return good;
    return Bad(LabelState::kDamaged,
               absl::StrCat("one copy is good, but in place of the ", first_good ? "last" : "first",
                            " one is something that is not Weft's"));
  }
  for (const LabelState bad : {LabelState::kDamaged, LabelState::kForeign}) {
    if (first.state == bad) return first;
    if (last.state == bad) return last;
  }
  return first;
}

}  // namespace weft
