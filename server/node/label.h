// The on-media label of a device: its bytes, and what two copies of them say together.
// docs/formats.md specifies the bytes. No I/O here; see label_io.h.

#ifndef WEFT_SERVER_NODE_LABEL_H_
#define WEFT_SERVER_NODE_LABEL_H_

#include <array>
#include <cstdint>
#include <ostream>
#include <string>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/core/types.h"

namespace weft {

// The version that this code writes, and the newest that it reads.
inline constexpr uint32_t kLabelVersion = 1;
// Of one copy: a page, all of it under the checksum, so that a superblock that another
// program puts anywhere in the page is noticed.
inline constexpr size_t kLabelBytes = 4096;
// The first and the last this many bytes of a device hold a copy each, and belong to no
// segment.
inline constexpr ByteCount kLabelUnit = kExtentUnit;

struct Label {
  DeviceId device;
  // Nil: the device is in no pool.
  Uuid pool;
  // Of the whole device.
  ByteCount capacity;
  // Raised whenever the memory may have lost its contents.
  uint64_t power_epoch = 0;
  // When the device was formatted, on the formatting host's wall clock.
  absl::Time created;
  // Raised by one at every update. Of two good copies the one with the higher counts.
  uint64_t sequence = 0;

  friend bool operator==(const Label&, const Label&) = default;
};

// Which copy: a copy found in the other's place is not good.
enum class LabelCopy : uint32_t { kFirst = 0, kLast = 1 };

// Where `copy` begins on a device of `capacity` bytes. The last one is in the last whole
// unit. REQUIRES: capacity >= kMinDeviceSize.
ByteOffset LabelOffset(LabelCopy copy, ByteCount capacity);

// What segments may use of a device of `capacity` bytes: what lies between the two label
// units. A multiple of kExtentUnit, as its start is. REQUIRES: as LabelOffset.
struct DataRange {
  ByteOffset offset;
  ByteCount length;

  friend bool operator==(const DataRange&, const DataRange&) = default;
};
DataRange DataRangeOf(ByteCount capacity);

std::array<uint8_t, kLabelBytes> EncodeLabel(const Label& label, LabelCopy copy);

enum class LabelState {
  kGood,
  // Nothing: zeroes where the magic would be.
  kAbsent,
  // Something else is where the magic would be.
  kForeign,
  // A label that cannot be trusted: its checksum is wrong, say, or it cannot be read, or
  // some bytes of its magic are still zero since its first writing was cut off.
  kDamaged,
  // A whole label, of a version that this code does not know.
  kNewer,
  // A good label, written for a device of another capacity.
  kWrongCapacity,
};

std::ostream& operator<<(std::ostream& out, LabelState state);

// What one copy, or the two together, turned out to be.
struct LabelVerdict {
  LabelState state = LabelState::kAbsent;
  // For kGood and kWrongCapacity.
  Label label;
  // For people: what is the matter. Empty for kGood and kAbsent.
  std::string detail;
};

// Reads the bytes of one copy on a device of `capacity` bytes. Any bytes are allowed;
// a copy is judged by all kLabelBytes of it. REQUIRES: bytes.size() == kLabelBytes.
LabelVerdict ParseLabel(absl::Span<const uint8_t> bytes, LabelCopy copy, ByteCount capacity);

// What `first` and `last` say together:
//   - a copy of a newer version or of another capacity: that, however good the other is;
//   - two that are good: the one with the higher sequence number; kDamaged if they are of
//     two devices, or differ under one number;
//   - one that is good, the other absent or damaged: the good one. But kDamaged if
//     something foreign is in the other's place: repairing would destroy it;
//   - none that is good: kDamaged if one is, else kForeign if one is, else kAbsent.
LabelVerdict JudgeLabels(const LabelVerdict& first, const LabelVerdict& last);

}  // namespace weft

#endif  // WEFT_SERVER_NODE_LABEL_H_
