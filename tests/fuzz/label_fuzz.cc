// Feeds arbitrary bytes to everything that reads what is on media. Whatever passes for
// good must be what Weft itself would write.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "server/core/check.h"
#include "server/core/crc32c.h"
#include "server/core/little_endian.h"
#include "server/node/exchange.h"
#include "server/node/label.h"

namespace weft {
namespace {

constexpr ByteCount kCapacity = kGiB;

void TryLabel(const std::array<uint8_t, kLabelBytes>& bytes) {
  const LabelVerdict first = ParseLabel(bytes, LabelCopy::kFirst, kCapacity);
  const LabelVerdict last = ParseLabel(bytes, LabelCopy::kLast, kCapacity);
  JudgeLabels(first, last);
  if (first.state == LabelState::kGood) {
    WEFT_CHECK(EncodeLabel(first.label, LabelCopy::kFirst) == bytes);
  }
}

void TryExchange(const std::array<uint8_t, kExchangeEntryBytes>& bytes) {
  const uint32_t slot = LoadLittleEndian<uint32_t>(bytes.data() + 8);
  const auto entry = DecodeExchange(bytes, slot, LabelCopy::kLast);
  if (entry) WEFT_CHECK(EncodeExchange(*entry, slot, LabelCopy::kLast) == bytes);
}

// The input as `Size` bytes, with the checksum at their end as it is and put right, since
// a fuzzer does not guess checksums.
template <size_t Size, typename Try>
void TryBoth(const uint8_t* data, size_t size, Try attempt) {
  std::array<uint8_t, Size> bytes{};
  std::copy_n(data, std::min(size, Size), bytes.begin());
  attempt(bytes);
  StoreLittleEndian<uint32_t>(bytes.data() + Size - 4, Crc32c({bytes.data(), Size - 4}));
  attempt(bytes);
}

}  // namespace
}  // namespace weft

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  weft::TryBoth<weft::kLabelBytes>(data, size, weft::TryLabel);
  weft::TryBoth<weft::kExchangeEntryBytes>(data, size, weft::TryExchange);
  return 0;
}
