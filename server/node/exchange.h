// The exchange areas of a device: where two hosts prove to each other that they hold the
// same memory. docs/formats.md specifies the bytes.
//
// The challenge, which the coordinator drives: it gives each host a slot and a nonce. The
// holder writes its entry, and the newcomer reads that slot; then the other way round.
// Only hosts on the same memory read what the other one has just written: a clone of an
// image, or another device of the same label, holds older bytes. That both areas, at the
// two ends of the device, agree shows that the hosts see it in the same order and size.

#ifndef WEFT_SERVER_NODE_EXCHANGE_H_
#define WEFT_SERVER_NODE_EXCHANGE_H_

#include <array>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/core/types.h"
#include "server/node/label.h"
#include "server/platform/device.h"
#include "server/platform/random.h"

namespace weft {

// Of each area. Slots are pages of their own, so that two hosts never write one line.
inline constexpr uint32_t kExchangeSlots = 256;
inline constexpr ByteCount kExchangeSlotStride{4096};
// Of one entry: a cache line, which arrives in memory as a whole.
inline constexpr size_t kExchangeEntryBytes = 64;

struct ExchangeEntry {
  Random128 nonce{};
  // Which challenge this answers, as the coordinator counts them.
  uint64_t sequence = 0;
  // The writing host, as the coordinator numbers it. For people who look for the cause of
  // a failed challenge.
  uint64_t writer = 0;

  friend bool operator==(const ExchangeEntry&, const ExchangeEntry&) = default;
};

// What is in one slot of the two areas; nothing where there is no whole entry.
struct ExchangeReading {
  std::optional<ExchangeEntry> first;
  std::optional<ExchangeEntry> last;
};

// Writes `entry` into `slot` of both areas, through to memory. Errors as of Device::Write;
// INVALID_ARGUMENT BAD_ARGUMENT for a slot of kExchangeSlots or more.
absl::Status WriteExchange(Device& device, uint32_t slot, const ExchangeEntry& entry);

// Reads `slot` of both areas from memory. Errors as of Device::Read and WriteExchange.
absl::StatusOr<ExchangeReading> ReadExchange(Device& device, uint32_t slot);

// The bytes of one entry, and back; nothing for bytes that are no whole entry of that slot
// and area. REQUIRES (decoding): bytes.size() == kExchangeEntryBytes.
std::array<uint8_t, kExchangeEntryBytes> EncodeExchange(const ExchangeEntry& entry, uint32_t slot,
                                                        LabelCopy area);
std::optional<ExchangeEntry> DecodeExchange(absl::Span<const uint8_t> bytes, uint32_t slot,
                                            LabelCopy area);

// Where `slot` of the area beside the label copy `area` is. REQUIRES: slot is below
// kExchangeSlots.
ByteOffset ExchangeOffset(uint32_t slot, LabelCopy area, ByteCount capacity);

}  // namespace weft

#endif  // WEFT_SERVER_NODE_EXCHANGE_H_
