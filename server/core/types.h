// The values that the whole project speaks in. See "Words" in docs/ARCHITECTURE.md.

#ifndef WEFT_SERVER_CORE_TYPES_H_
#define WEFT_SERVER_CORE_TYPES_H_

#include <array>
#include <compare>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "server/core/strong_uint.h"

namespace weft {

// A length in bytes.
using ByteCount = StrongUint64<struct ByteCountTag>;
// A position in bytes from the start of a device (or, where said so, of a segment).
using ByteOffset = StrongUint64<struct ByteOffsetTag>;

// None of these check for overflow: the callers' values are bounded by a device's
// capacity, which is below 2^63.
constexpr ByteOffset operator+(ByteOffset a, ByteCount b) {
  return ByteOffset(a.value() + b.value());
}
constexpr ByteCount operator-(ByteOffset a, ByteOffset b) {
  return ByteCount(a.value() - b.value());
}
constexpr ByteCount operator+(ByteCount a, ByteCount b) { return ByteCount(a.value() + b.value()); }
constexpr ByteCount operator-(ByteCount a, ByteCount b) { return ByteCount(a.value() - b.value()); }
constexpr ByteCount& operator+=(ByteCount& a, ByteCount b) { return a = a + b; }
constexpr ByteCount& operator-=(ByteCount& a, ByteCount b) { return a = a - b; }

inline constexpr ByteCount kMiB{uint64_t{1} << 20};
inline constexpr ByteCount kGiB{uint64_t{1} << 30};
// Every extent starts at and is as long as a multiple of this: one PMD mapping.
inline constexpr ByteCount kExtentUnit{2 * kMiB.value()};
// What segments of at least this size are aligned to, where the pool has such extents.
inline constexpr ByteCount kHugeUnit = kGiB;
// No capacity or size reaches this.
inline constexpr ByteCount kMaxBytes{uint64_t{1} << 63};

constexpr bool IsMultipleOf(uint64_t value, ByteCount unit) { return value % unit.value() == 0; }

// The id of a segment: assigned once by the coordinator, never 0, never reused.
using SegmentId = StrongUint64<struct SegmentIdTag>;

// A 128-bit universally unique id.
class Uuid {
 public:
  constexpr Uuid() = default;
  constexpr explicit Uuid(const std::array<uint8_t, 16>& bytes) : bytes_(bytes) {}

  // Reads the 8-4-4-4-12 hexadecimal form, in either case. INVALID_ARGUMENT otherwise.
  static absl::StatusOr<Uuid> Parse(std::string_view text);

  // The 8-4-4-4-12 form in lower case.
  std::string ToString() const;
  constexpr const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  constexpr bool is_nil() const { return *this == Uuid(); }

  friend constexpr auto operator<=>(const Uuid&, const Uuid&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Uuid& id) {
    return out << id.ToString();
  }
  template <typename H>
  friend H AbslHashValue(H state, const Uuid& id) {
    return H::combine(std::move(state), id.bytes_);
  }

 private:
  std::array<uint8_t, 16> bytes_{};
};

// The UUID in a device's on-media label.
using DeviceId = Uuid;

// A fencing number. Of two tokens for one segment the later is the greater, across
// restarts, failovers and restores. Has nothing to do with time. {0, 0} is no token.
struct Token {
  uint64_t epoch = 0;
  uint64_t counter = 0;

  friend constexpr auto operator<=>(const Token&, const Token&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Token& t) {
    return out << t.epoch << "." << t.counter;
  }
};

// Some bytes of a device or of a segment.
struct ByteRange {
  ByteOffset offset;
  ByteCount length;

  constexpr ByteOffset end() const { return offset + length; }
  friend constexpr auto operator<=>(const ByteRange&, const ByteRange&) = default;
  friend std::ostream& operator<<(std::ostream& out, const ByteRange& r) {
    return out << "[" << r.offset << "+" << r.length << "]";
  }
};

// A contiguous piece of a device.
struct Extent {
  DeviceId device;
  ByteOffset offset;
  ByteCount length;

  constexpr ByteOffset end() const { return offset + length; }
  friend constexpr auto operator<=>(const Extent&, const Extent&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Extent& e) {
    return out << e.device << "[" << e.offset << "+" << e.length << "]";
  }
};

}  // namespace weft

#endif  // WEFT_SERVER_CORE_TYPES_H_
