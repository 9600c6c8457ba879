#include "server/node/exchange.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/core/check.h"
#include "server/core/crc32c.h"
#include "server/core/errors.h"
#include "server/core/little_endian.h"

namespace weft {
namespace {

constexpr std::array<uint8_t, 8> kMagic = {'W', 'e', 'f', 't', 'X', 'c', 'h', 'g'};

// From the start of the label unit that an area is in.
constexpr ByteCount kAreaAt = kMiB;

// Offsets of the fields of an entry.
constexpr size_t kSlotAt = 8;
constexpr size_t kAreaCopyAt = 12;
constexpr size_t kNonceAt = 16;
constexpr size_t kSequenceAt = 32;
constexpr size_t kWriterAt = 40;
constexpr size_t kReservedAt = 48;
constexpr size_t kChecksumAt = kExchangeEntryBytes - 4;

absl::Status CheckSlot(const Device& device, uint32_t slot) {
  if (device.size() < kMinDeviceSize) {
    return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_SIZE,
                     absl::StrCat(device.name(), " is too small to have an exchange area"));
  }
  if (slot < kExchangeSlots) return absl::OkStatus();
  return MakeError(absl::StatusCode::kInvalidArgument, v1::BAD_ARGUMENT,
                   absl::StrCat("exchange slot ", slot, " of ", device.name(),
                                ": there are slots 0 to ", kExchangeSlots - 1));
}

absl::StatusOr<std::optional<ExchangeEntry>> ReadArea(Device& device, uint32_t slot,
                                                      LabelCopy area) {
  std::array<uint8_t, kExchangeEntryBytes> bytes;
  const ByteOffset offset = ExchangeOffset(slot, area, device.size());
  if (absl::Status s = device.Read(offset, absl::MakeSpan(bytes)); !s.ok()) return s;
  return DecodeExchange(bytes, slot, area);
}

}  // namespace

ByteOffset ExchangeOffset(uint32_t slot, LabelCopy area, ByteCount capacity) {
  WEFT_CHECK(slot < kExchangeSlots, slot);
  return LabelOffset(area, capacity) + kAreaAt + ByteCount(slot * kExchangeSlotStride.value());
}

std::array<uint8_t, kExchangeEntryBytes> EncodeExchange(const ExchangeEntry& entry, uint32_t slot,
                                                        LabelCopy area) {
  std::array<uint8_t, kExchangeEntryBytes> bytes{};
  uint8_t* const p = bytes.data();
  std::copy(kMagic.begin(), kMagic.end(), p);
  StoreLittleEndian<uint32_t>(p + kSlotAt, slot);
  StoreLittleEndian<uint32_t>(p + kAreaCopyAt, static_cast<uint32_t>(area));
  std::copy(entry.nonce.begin(), entry.nonce.end(), p + kNonceAt);
  StoreLittleEndian<uint64_t>(p + kSequenceAt, entry.sequence);
  StoreLittleEndian<uint64_t>(p + kWriterAt, entry.writer);
  StoreLittleEndian<uint32_t>(p + kChecksumAt, Crc32c({p, kChecksumAt}));
  return bytes;
}

std::optional<ExchangeEntry> DecodeExchange(absl::Span<const uint8_t> bytes, uint32_t slot,
                                            LabelCopy area) {
  WEFT_CHECK(bytes.size() == kExchangeEntryBytes, bytes.size());
  const uint8_t* const p = bytes.data();
  const bool valid =
      std::equal(kMagic.begin(), kMagic.end(), p) &&
      LoadLittleEndian<uint32_t>(p + kChecksumAt) == Crc32c({p, kChecksumAt}) &&
      LoadLittleEndian<uint32_t>(p + kSlotAt) == slot &&
      LoadLittleEndian<uint32_t>(p + kAreaCopyAt) == static_cast<uint32_t>(area) &&
      std::all_of(p + kReservedAt, p + kChecksumAt, [](uint8_t b) { return b == 0; });
  if (!valid) return std::nullopt;
  ExchangeEntry entry;
  std::copy_n(p + kNonceAt, entry.nonce.size(), entry.nonce.begin());
  entry.sequence = LoadLittleEndian<uint64_t>(p + kSequenceAt);
  entry.writer = LoadLittleEndian<uint64_t>(p + kWriterAt);
  return entry;
}

absl::Status WriteExchange(Device& device, uint32_t slot, const ExchangeEntry& entry) {
  if (absl::Status s = CheckSlot(device, slot); !s.ok()) return s;
  for (const LabelCopy area : {LabelCopy::kFirst, LabelCopy::kLast}) {
    const absl::Status s =
        device.Write(ExchangeOffset(slot, area, device.size()), EncodeExchange(entry, slot, area));
    if (!s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::StatusOr<ExchangeReading> ReadExchange(Device& device, uint32_t slot) {
  if (absl::Status s = CheckSlot(device, slot); !s.ok()) return s;
  auto first = ReadArea(device, slot, LabelCopy::kFirst);
  if (!first.ok()) return first.status();
  auto last = ReadArea(device, slot, LabelCopy::kLast);
  if (!last.ok()) return last.status();
  return ExchangeReading{*std::move(first), *std::move(last)};
}

}  // namespace weft
